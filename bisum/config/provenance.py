"""The provenance of a run's configuration, as the run records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bisum.config.options import SearchOptions
from bisum.config.recording import Recorded


@dataclass(frozen=True)
class Trial:
    """The trial of a search that a run reports its scores to."""

    place: str
    """URL of a database, or path of a journal file."""
    study: str
    """Name of the study in it."""
    number: int
    options: SearchOptions


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a configuration comes from."""

    command: str
    """The command: train, baseline, ..."""
    resolved: Mapping[str, Any]
    """The whole configuration as plain data, with every interpolation resolved; it may hold secrets."""
    recorded: Recorded
    """The same as it is recorded, without secrets."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """The option of each group."""
    overrides: Sequence[str] = ()
    """The arguments of the command line, as they were typed."""
    sweep: str | None = None
    """Name of the sweep's directory, if the run is one of its jobs."""
    fingerprint: str | None = None
    """Fingerprint of the rows that another job of the sweep has used, which has the same data; None: none has."""
    threads: int | None = None
    """Threads that the jobs of the sweep compute with; None: as many as torch chooses."""
    prepared: bool = False
    """Whether the run's directory is known to hold nothing but what an earlier try of this run left."""
    detached: bool = False
    """Whether the run shows nothing on a terminal: its output goes to `train.log`, and a sweep watches it."""
    trial: Trial | None = None
    """The trial that the run is, if a search with one objective chose its values."""
