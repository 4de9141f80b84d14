"""A Kubernetes cluster that somebody else runs."""
