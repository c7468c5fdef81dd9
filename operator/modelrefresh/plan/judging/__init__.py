"""From scores to verdicts, and from verdicts to a promotion or a rejection."""
