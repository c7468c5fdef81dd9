"""Files of text and records as documents: which files, their lines or rows, their dates."""
