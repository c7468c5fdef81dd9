"""Questions, the models' replies, and what they are worth."""
