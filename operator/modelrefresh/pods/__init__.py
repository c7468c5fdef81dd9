"""What pods tell: why they do not start, how they ended."""
