"""A training of seconds on the sample, for commands that use a trained model, and a sweep of such."""

from compared_runs import runs, sweep
from trained_model import trained

__all__ = ["runs", "sweep", "trained"]
