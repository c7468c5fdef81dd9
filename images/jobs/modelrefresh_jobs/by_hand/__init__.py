"""The stages from a shell, with flags instead of a request in the environment."""
