"""Locks that keep a second process out of a run's directory, or let several processes share a sweep."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bisum.errors import UserError, one_line

CLAIM = ".claim"
"""Lock of a sweep's job, held by its process and by the sweep that started it."""

_TRIES = 3
_WAIT = 0.05
"""Seconds between tries."""


def lock(directory: Path, refusal: str) -> TextIO:
    """Lock a directory until the returned file is closed.

    Raises:
        UserError: another process has locked it; the message is `refusal`.
    """
    file = (directory / ".lock").open("a+")
    for remaining in reversed(range(_TRIES)):
        if _take(file, fcntl.LOCK_EX):
            break
        if not remaining:
            file.close()
            raise UserError(refusal)
        time.sleep(_WAIT)  # `is_locked` briefly holds the lock
    return file


def share(directory: Path, refusal: str) -> tuple[TextIO, bool]:
    """Lock a directory shared by several processes; return the lock and whether this process is the only one.

    Raises:
        UserError: a process has locked it exclusively; the message is `refusal`.
    """
    file = (directory / ".lock").open("a+")
    is_alone = _take(file, fcntl.LOCK_EX)
    if not _take(file, fcntl.LOCK_SH):
        file.close()
        raise UserError(refusal)
    return file, is_alone


def is_locked(directory: Path, name: str = ".lock") -> bool:
    """Return whether a process has locked a directory exclusively."""
    path = directory / name
    if not path.is_file():  # opening a pipe would block
        return False
    with suppress(OSError, UserError), path.open() as file:
        return not _take(file, fcntl.LOCK_SH)
    return False


def claim_job(directory: Path) -> TextIO | None:
    """Lock a job's directory until all copies of the returned file are closed; None if it is already locked."""
    file = (directory / CLAIM).open("a+")
    if _take(file, fcntl.LOCK_EX):
        return file
    file.close()
    return None


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Lock a file during the block, waiting for others to release it."""
    with path.open("a+") as file:
        _take(file, fcntl.LOCK_EX, wait=True)
        yield


def _take(file: TextIO, kind: int, *, wait: bool = False) -> bool:
    """Lock a file, and return whether that was possible.

    Raises:
        UserError: the file system does not support locks.
    """
    try:
        fcntl.flock(file, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(
            f"'{file.name}' cannot be locked ({one_line(error)}); use a file system that supports locks"
        ) from error
    return True
