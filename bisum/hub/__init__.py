"""Sharing on the Hugging Face hub: the folder of a model, its card and its upload."""
