"""What each stage is asked and what it answers, one file each: `XInput` and `XSummary` in the file of stage x."""
