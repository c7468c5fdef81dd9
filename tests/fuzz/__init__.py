"""Inputs as they get damaged on the way, for every reader of what users bring."""
