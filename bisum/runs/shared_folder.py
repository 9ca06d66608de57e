"""A folder that processes share, where an entry (a file or a folder) appears when it is complete."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

GRACE_SECONDS = 60
"""Age from which a partial entry without a lock counts as left over from a killed process, and from which an unused
entry can be deleted."""


def mark_used(entry: Path) -> None:
    """Record that an entry is used, in its modification time."""
    with suppress(OSError):
        os.utime(entry)


@contextmanager
def partial(folder: Path, prefix: str, create: Callable[[Path], None]) -> Iterator[Path]:
    """Create a hidden entry, locked while the block runs; delete it afterwards, unless it was renamed."""
    path = folder / f".{prefix}{secrets.token_hex(8)}"
    create(path)
    try:
        with _locked(path):  # shows other processes that this one is alive
            yield path
    finally:
        _remove(path)


def clean_up(folder: Path, prefix: str, most: int) -> None:
    """Delete what killed processes left, and all but the `most` entries that were used last."""
    for path in folder.glob(f".{prefix}*"):
        with suppress(OSError), _locked(path):
            if _age(path) > GRACE_SECONDS:
                _remove(path)
    with suppress(OSError):
        entries = sorted(folder.glob(f"{prefix}*"), key=lambda path: path.lstat().st_mtime_ns)
        for path in entries[: max(0, len(entries) - most)]:
            if _age(path) > GRACE_SECONDS:
                delete(path)


def delete(entry: Path) -> None:
    """Delete whatever has an entry's name, if possible; renamed first, so that no process sees a part of it."""
    aside = entry.with_name(f".{entry.name}-{secrets.token_hex(4)}")
    with suppress(OSError):
        entry.rename(aside)
        _remove(aside)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder; raise OSError if another process holds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # does not wait for the writer of a pipe
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
