"""Location of a run's profile of training steps."""

from pathlib import Path

TRACE = Path("profile/trace.json.gz")
"""The trace in a run directory, in Chrome's format, compressed; https://ui.perfetto.dev opens it."""
