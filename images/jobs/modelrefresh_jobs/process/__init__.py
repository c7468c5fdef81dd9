"""The process of one attempt: its errors, signals, progress and log, and the files that it may open."""
