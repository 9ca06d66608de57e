"""The run directories that paths stand for, read back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bisum.errors import UserError
from bisum.runs.record import read_record

PRUNED = "pruned"
"""Status of a training that a search stopped early, because it fell behind."""


@dataclass(frozen=True)
class FoundRun:
    """A run directory and its record."""

    directory: Path
    """As the caller named it, or below a folder that the caller named."""
    record: dict[str, Any] = field(repr=False)

    @property
    def job(self) -> str:
        """The command that made it: train, baseline, ..."""
        return str(self.record["job"])

    @property
    def config(self) -> dict[str, Any]:
        """Its resolved configuration."""
        config: dict[str, Any] = self.record["config"]
        return config


@dataclass(frozen=True)
class OtherRun:
    """A run that has no scores to compare."""

    directory: Path
    status: str
    """`failed`, `interrupted`, `pruned`, `running`, `killed`, `unreadable`; `finished` if it scored another split."""
    reason: str


def find_runs(paths: Sequence[str | Path]) -> tuple[list[FoundRun], list[OtherRun]]:
    """Return the runs that paths name and all below the folders that they name, each once, and unreadable ones.

    Raises:
        UserError: a path does not exist, or no run is at it or below it.
    """
    found: list[FoundRun] = []
    others: list[OtherRun] = []
    seen: set[Path] = set()
    for path in paths:
        if not str(path):
            raise UserError("a run is named '', which is no path")
        directories = list(_run_directories(expanded(path), others))
        if not directories:
            raise UserError(f"'{path}' holds no run: neither it nor a folder below it has a run.json")
        for directory in directories:
            resolved = directory.resolve()
            if resolved in seen:
                continue
            seen.add(resolved)
            try:
                found.append(FoundRun(directory, read_record(directory.absolute())))  # its name may begin with ~
            except (UserError, OSError) as error:
                others.append(OtherRun(directory, "unreadable", str(error)))
    return found, others


def _run_directories(path: Path, others: list[OtherRun]) -> Iterator[Path]:
    """Yield the run directories at a path or below it, in natural order; record folders that cannot be listed."""
    try:
        if not path.exists():
            raise UserError(f"'{path}' does not exist; give run directories, or folders that hold some")
        if not path.is_dir():
            raise UserError(f"'{path}' is a file; give run directories, or folders that hold some")
    except OSError as error:
        raise UserError(f"'{path}': {error.strerror}") from error

    def unreadable(error: OSError) -> None:
        others.append(OtherRun(Path(error.filename), "unreadable", f"the folder cannot be listed: {error.strerror}"))

    for folder, folders, files in os.walk(path, onerror=unreadable):
        if "run.json" in files or "run.json" in folders:
            folders.clear()  # a run holds no other run
            yield Path(folder)
        folders.sort(key=_natural)
        for name in folders:  # links are not followed, but may name runs
            if (link := Path(folder, name)).is_symlink() and (link / "run.json").is_file():
                yield link


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts 2 before 10."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def folder_of(paths: Sequence[str | Path]) -> Path:
    """Return the folder for what a comparison writes: the one that was compared, or else the current one."""
    path = expanded(paths[0])
    return path if len(paths) == 1 and not (path / "run.json").exists() else Path()


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder for ~; a ~ before the name of nobody stays."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)
