"""Suites of questions, the models' replies, and their scores."""
