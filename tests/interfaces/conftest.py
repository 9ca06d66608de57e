"""Trainings of seconds on the sample."""

from training_runs import read, small, trained

__all__ = ["read", "small", "trained"]
