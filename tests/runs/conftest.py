"""Short training runs on the sample."""

from training_runs import read, small, start, trained, wait_for

__all__ = ["read", "small", "start", "trained", "wait_for"]
