"""Short training runs."""

from training_runs import read, small

__all__ = ["read", "small"]
