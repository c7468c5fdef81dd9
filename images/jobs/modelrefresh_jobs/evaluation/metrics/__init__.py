"""Scorers, one file per metric of `contract/metrics.py`, named as it: from an item and a reply to a score 0-1."""
