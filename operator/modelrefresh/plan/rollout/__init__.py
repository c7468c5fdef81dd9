"""The way of a version into what serves, and back."""
