"""A short training on the sample, and a sweep, for commands that use trained models."""

from compared_runs import runs, sweep
from trained_model import trained

__all__ = ["runs", "sweep", "trained"]
