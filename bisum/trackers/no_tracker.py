"""The tracker of a run that is not tracked."""

from __future__ import annotations

from dataclasses import dataclass

from bisum.interfaces.tracker import RunFacts, TrackedRun, Tracker


@dataclass(frozen=True, kw_only=True)
class NoTracker(Tracker):
    """Tracker that records nothing."""

    wanted = False

    def start(self, run: RunFacts) -> TrackedRun:  # noqa: ARG002 - the interface's
        """Return a run that discards everything."""
        return TrackedRun()
