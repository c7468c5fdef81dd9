"""Builds the two images on a machine that may have no container engine, and pushes them to the cluster's registry."""
