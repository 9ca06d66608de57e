"""Where a run keeps the profile of its steps."""

from pathlib import Path

TRACE = Path("profile/trace.json.gz")
"""The trace in a run directory: Chrome's format, compressed, as https://ui.perfetto.dev opens it."""
