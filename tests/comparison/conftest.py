"""Shared runs: a sweep, its evaluations and a baseline to read, and a copy of the sweep to edit."""

from compared_runs import baseline, evaluations, runs, sweep

__all__ = ["baseline", "evaluations", "runs", "sweep"]
