"""Attacks that must fail, one file per class."""
