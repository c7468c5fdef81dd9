"""Continual pretraining: Hugging Face Trainer, its processes and its checkpoints."""
