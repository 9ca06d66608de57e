"""The tracker of an untracked run."""

from __future__ import annotations

from dataclasses import dataclass

from bisum.interfaces.tracker import RunFacts, TrackedRun, Tracker


@dataclass(frozen=True, kw_only=True)
class NoTracker(Tracker):
    """Tracker that records nothing."""

    wanted = False

    def start(self, run: RunFacts) -> TrackedRun:  # noqa: ARG002 - part of the interface
        """Return a run that discards everything."""
        return TrackedRun()
