"""The one error of this package: something about the cluster that a person must read.

Its text says the object, what was seen, what was expected and what to do.
It carries no code and no cause: the command line prints it and ends with 1.
"""


class ClusterError(Exception):
    """A cluster that cannot be started, reached or used, and what would help."""
