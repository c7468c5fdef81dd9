"""Scorers, one file for each metric of `contract/metrics.py` and of its name: what one reply is worth, 0 to 1."""
