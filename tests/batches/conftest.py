"""Training runs on the sample that take seconds."""

from training_runs import read, small, trained

__all__ = ["read", "small", "trained"]
