"""ModelRefresh: a Kubernetes operator for declarative model refresh."""
