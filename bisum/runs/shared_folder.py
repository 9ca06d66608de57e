"""A folder that processes share, where an entry (a file or a folder) appears when it is complete."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

GRACE_SECONDS = 60
"""Age from which a partial entry that no process locks counts as left over from a killed process, and from which an
unused entry can be deleted."""
GRACE_WITHOUT_LOCKS_SECONDS = 24 * 60 * 60
"""The same for a partial entry where the file system has no locks, as NFS has none for folders."""


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
        with suppress(OSError):
            if _age(path) > GRACE_SECONDS:  # the process that has just created it may be about to lock it
                with _locked(path) as has_lock:
                    if _age(path) > (GRACE_SECONDS if has_lock else GRACE_WITHOUT_LOCKS_SECONDS):
                        _remove(path)
    entries = []
    for path in folder.glob(f"{prefix}*"):
        with suppress(OSError):  # another process can delete it
            entries.append((path.lstat().st_mtime_ns, path))
    for _, path in sorted(entries)[: max(0, len(entries) - most)]:
        with suppress(OSError):
            if _age(path) > GRACE_SECONDS:
                delete(path)


def delete(entry: Path) -> None:
    """Delete whatever has an entry's name, if possible; renamed first, so that no process sees a part of it."""
    aside = entry.with_name(f".{entry.name}-{secrets.token_hex(4)}")
    with suppress(OSError):
        entry.rename(aside)
        _remove(aside)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder during the block; false if it cannot be locked.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    access = os.O_RDONLY if path.is_dir() else os.O_RDWR  # NFS locks only what is open for writing
    with ExitStack() as stack:
        try:
            descriptor = os.open(path, access | os.O_NONBLOCK)  # does not wait for the writer of a pipe
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            has_lock = True
        except BlockingIOError:
            raise
        except OSError:
            has_lock = False
        yield has_lock


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
