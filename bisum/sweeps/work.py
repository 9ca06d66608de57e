"""A claimed job, and the interface of its execution."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from bisum.config.jobs import Job
from bisum.config.provenance import Trial


@dataclass(frozen=True)
class Work:
    """A job claimed by this process."""

    number: int
    job: Job
    directory: Path
    """Its run directory."""
    claim: TextIO
    """Lock of the job."""
    resumes: bool
    """Whether the job continues a training run."""
    threads: int | None
    """Threads that the job began with, or those of the other jobs; None: not fixed."""
    trial: Trial | None
    """Trial that the job reports to, if any."""
    fingerprint: str | None
    """Fingerprint of the rows used by another job with the same data, if any."""


class Execution(Protocol):
    """A running job."""

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal that killed it; None while it runs."""

    def stop(self, number: int, *, at_once: bool = False) -> None:
        """Ask the job to save a checkpoint and stop, like signal `number`; `at_once`: without a checkpoint."""

    def kill(self) -> None:
        """Kill the job."""


class Launch(Protocol):
    """Function that starts jobs."""

    def __call__(self, work: Work, slot: int) -> Execution:
        """Start a job in a slot; slots for concurrent jobs are numbered from 0."""
