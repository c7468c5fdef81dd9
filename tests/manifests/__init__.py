"""Domain values in, Kubernetes objects out."""
