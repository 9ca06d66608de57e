"""Search for run directories at and below paths."""

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
"""Status of a training run that a search stopped early because it fell behind."""


@dataclass(frozen=True)
class FoundRun:
    """A run directory and its record."""

    directory: Path
    """The path that the caller gave, or one below it."""
    record: dict[str, Any] = field(repr=False)

    @property
    def job(self) -> str:
        """The command that created it: train, baseline, ..."""
        return str(self.record["job"])

    @property
    def config(self) -> dict[str, Any]:
        """Its resolved configuration."""
        config: dict[str, Any] = self.record["config"]
        return config


@dataclass(frozen=True)
class OtherRun:
    """A run without scores to compare."""

    directory: Path
    status: str
    """`failed`, `interrupted`, `pruned`, `running`, `killed`, `unreadable`; `finished` if it scored another split."""
    reason: str


def find_runs(paths: Sequence[str | Path]) -> tuple[list[FoundRun], list[OtherRun]]:
    """Return the runs at and below paths, without duplicates, and the unreadable ones.

    Raises:
        UserError: a path does not exist, or contains no run.
    """
    found: list[FoundRun] = []
    others: list[OtherRun] = []
    seen: set[Path] = set()
    for path in paths:
        if not str(path):
            raise UserError("compare: empty path; give run directories or folders that contain them")
        directories = list(_run_directories(expanded(path), others))
        if not directories:
            raise UserError(f"'{path}' contains no run; neither it nor a folder below it has a run.json")
        for directory in directories:
            resolved = directory.resolve()
            if resolved in seen:
                continue
            seen.add(resolved)
            try:
                found.append(FoundRun(directory, read_record(directory.absolute())))  # a relative name can begin with ~
            except (UserError, OSError) as error:
                others.append(OtherRun(directory, "unreadable", str(error)))
    return found, others


def _run_directories(path: Path, others: list[OtherRun]) -> Iterator[Path]:
    """Yield the run directories at and below a path, in natural order; add unlistable folders to `others`."""
    try:
        if not path.exists():
            raise UserError(f"'{path}' does not exist; give run directories or folders that contain them")
        if not path.is_dir():
            raise UserError(f"'{path}' is a file; give run directories or folders that contain them")
    except OSError as error:
        raise UserError(f"'{path}': {error.strerror}") from error

    def unreadable(error: OSError) -> None:
        others.append(OtherRun(Path(error.filename), "unreadable", f"the folder cannot be listed: {error.strerror}"))

    for folder, folders, files in os.walk(path, onerror=unreadable):
        if "run.json" in files or "run.json" in folders:
            folders.clear()  # nothing inside a run is searched
            yield Path(folder)
        folders.sort(key=_natural)
        for name in folders:  # links to runs count, other links are not followed
            if (link := Path(folder, name)).is_symlink() and (link / "run.json").is_file():
                yield link


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a sort key that puts 2 before 10."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def folder_of(paths: Sequence[str | Path]) -> Path:
    """Return the output folder of a comparison: the folder that was compared, otherwise the current one."""
    path = expanded(paths[0])
    return path if len(paths) == 1 and not (path / "run.json").exists() else Path()


def expanded(path: str | Path) -> Path:
    """Expand ~ in a path; keep it if the user is unknown."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)
