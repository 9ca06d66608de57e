"""The built-in metrics apart from ROUGE."""
