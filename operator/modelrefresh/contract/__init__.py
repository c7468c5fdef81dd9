"""What operator and Jobs promise each other. Standard library only; both images install it."""
