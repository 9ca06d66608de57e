"""Trimming of a model's vocabulary to the pieces that a corpus needs."""
