"""What users write and read: the four kinds, their names, conditions and schema."""
