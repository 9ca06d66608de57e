"""Versions of files, which show whether a corpus has changed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

_SETTLED_SECONDS = 2
"""Age of a file from which a further change also changes its modification time, on any file system."""


def versions_of(files: Iterable[str | Path]) -> list[tuple[str | int, ...]] | None:
    """Return values that change whenever one of some files does; None if one is missing or only just written."""
    versions, now = list[tuple[str | int, ...]](), time.time()
    for file in files:
        try:
            path = Path(file).expanduser().absolute()
            found = path.stat()
        except OSError:
            return None
        if now - found.st_mtime < _SETTLED_SECONDS:
            return None
        versions.append((str(path), found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size))
    return versions
