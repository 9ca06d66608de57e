"""A run directory, read back."""
