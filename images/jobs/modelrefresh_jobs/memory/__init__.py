"""The memory of a training on GPUs: what it takes, which way fits, and what people are told of it."""
