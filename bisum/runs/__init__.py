"""A run directory as it is read back."""
