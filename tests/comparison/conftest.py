"""A sweep, evaluations of it and a baseline, which tests read, and a copy of the sweep that a test may change."""

from compared_runs import baseline, evaluations, runs, sweep

__all__ = ["baseline", "evaluations", "runs", "sweep"]
