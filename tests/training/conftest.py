"""Fixtures for short training runs on the sample."""

from training_runs import kill_at, read, small, start, trained, wait_for

__all__ = ["kill_at", "read", "small", "start", "trained", "wait_for"]
