"""The sweep that the documentation's commands read back."""

from compared_runs import sweep

__all__ = ["sweep"]
