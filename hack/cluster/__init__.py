"""A throw-away single-node Kubernetes for the demo and the end-to-end tests."""
