"""The operator's port, real and in memory, held to the same promises."""
