"""Pure builders: domain values in, Kubernetes objects out."""
