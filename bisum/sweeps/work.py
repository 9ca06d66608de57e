"""A job that is due, and its execution as the sweep sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from bisum.config.jobs import Job
from bisum.config.provenance import Trial


@dataclass(frozen=True)
class Work:
    """A job that this process is to run now."""

    number: int
    job: Job
    directory: Path
    """Its run directory."""
    claim: TextIO
    """The lock of the job."""
    resumes: bool
    """Whether it continues a training."""
    threads: int | None
    """Threads that it began with, or that the other jobs of the sweep use; None: not settled."""
    trial: Trial | None
    """The trial that the job reports to, if any."""
    fingerprint: str | None
    """Fingerprint of the rows that another job with the same data has used, if any."""


class Execution(Protocol):
    """A job that runs."""

    def poll(self) -> int | None:
        """Return the exit code, negative for the signal that killed it; None while it runs."""

    def stop(self, number: int, *, at_once: bool = False) -> None:
        """Ask the job to save a checkpoint and stop, as the signal `number` does; `at_once`: without a checkpoint."""

    def kill(self) -> None:
        """End it."""


class Launch(Protocol):
    """A function that starts jobs."""

    def __call__(self, work: Work, place: int) -> Execution:
        """Start a job in one of the places for jobs that run at once, numbered from 0."""
