"""The provenance of a run's configuration, as recorded with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bisum.config.options import SearchOptions
from bisum.config.recording import Recorded


@dataclass(frozen=True)
class Trial:
    """The trial of a search to which a run reports its scores."""

    place: str
    """Database URL, or path of a journal file."""
    study: str
    """Name of the study there."""
    number: int
    options: SearchOptions


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The origin of a configuration."""

    command: str
    """The command: train, baseline, ..."""
    resolved: Mapping[str, Any]
    """The whole configuration as plain data, with all interpolations resolved; can contain secrets."""
    recorded: Recorded
    """The configuration to record, without secrets."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """The chosen option of each group."""
    overrides: Sequence[str] = ()
    """The command-line arguments as typed."""
    sweep: str | None = None
    """Name of the sweep's directory, if the run is one of its jobs."""
    fingerprint: str | None = None
    """Fingerprint of the rows used by another job of the sweep with the same data; None: no such job yet."""
    threads: int | None = None
    """Number of compute threads of each job in the sweep; None: torch's default."""
    prepared: bool = False
    """Whether the run's directory is known to contain only files from an earlier attempt at this run."""
    detached: bool = False
    """Whether the run shows nothing on a terminal; its output goes to `train.log`, which a sweep watches."""
    trial: Trial | None = None
    """The run's trial, if a search with one objective chose its values."""
