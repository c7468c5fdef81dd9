"""What the operator writes: the status of its objects, and the whole of a ModelVersion."""
