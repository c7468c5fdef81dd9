"""The demo's data and models: a tiny base and instruct pair that knew the world of 2002, and the facts of today."""
