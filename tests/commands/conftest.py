"""A training of seconds on the sample, for the commands that use a trained model."""

from trained_model import trained

__all__ = ["trained"]
