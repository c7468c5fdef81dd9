"""Pure decisions: what one look at the cluster saw, and what follows."""
