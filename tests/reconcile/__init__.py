"""Whole refreshes, pass by pass, on the API server in memory."""
