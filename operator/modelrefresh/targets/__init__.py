"""What may serve a version, one file for each kind."""
