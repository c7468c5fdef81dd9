"""A model's folder beside its weights: which one is accepted, its configuration, tokenizer and chat template."""
