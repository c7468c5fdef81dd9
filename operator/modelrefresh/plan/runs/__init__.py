"""When a run opens, and how it ends."""
