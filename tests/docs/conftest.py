"""The sweep that stands in for the runs in the documentation's commands."""

from compared_runs import sweep

__all__ = ["sweep"]
