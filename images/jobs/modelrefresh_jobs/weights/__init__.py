"""The arithmetic of residuals, and the checks of weights that go into it."""
