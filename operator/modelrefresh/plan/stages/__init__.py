"""The stages of a run, one file each: what each is asked, and what its answer leaves in the run's record."""
