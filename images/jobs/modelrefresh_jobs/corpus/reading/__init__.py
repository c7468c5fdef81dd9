"""From a source's files to documents: which files are data, how they are opened, what a record says."""
