"""The stages of a run: what each is asked, what became of its attempt, what comes next."""
