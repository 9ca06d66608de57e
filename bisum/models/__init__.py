"""Models: what they start from, what is particular to a family, how they load."""
