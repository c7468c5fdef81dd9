"""The arithmetic of residuals, and what must be true of weights that go into it."""
