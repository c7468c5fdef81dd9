"""The stages, one file each; none knows another."""
