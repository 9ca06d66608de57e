"""A training of seconds on the sample, for the commands that use a trained model, and a sweep for those that compare."""

from compared_runs import runs, sweep
from trained_model import trained

__all__ = ["runs", "sweep", "trained"]
