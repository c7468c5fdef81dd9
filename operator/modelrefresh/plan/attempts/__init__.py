"""What became of a stage's attempt, and what comes next: wait, retry, give up, begin."""
