"""A short training on the sample, for cards."""

from trained_model import trained

__all__ = ["trained"]
