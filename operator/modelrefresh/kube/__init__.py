"""The API server: its client, the port that a fake of it shares, kinds, rate limit."""
