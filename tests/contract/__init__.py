"""What operator and stages promise each other, also across releases."""
