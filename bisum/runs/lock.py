"""The locks that keep a second process out of the directory of a run, or let several work on a sweep."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from bisum.errors import UserError, one_line

CLAIM = ".claim"
"""Lock of a sweep's job, held by the process that runs it and by the sweep that started that process."""

_TRIES = 3
_WAIT = 0.05
"""Seconds between two tries."""


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
        time.sleep(_WAIT)  # `is_locked` holds it for an instant
    return file


def share(directory: Path, refusal: str) -> tuple[TextIO, bool]:
    """Lock a directory that several processes may share, and return whether this is the only one.

    Raises:
        UserError: a process has locked it for itself; the message is `refusal`.
    """
    file = (directory / ".lock").open("a+")
    is_alone = _take(file, fcntl.LOCK_EX)
    if not _take(file, fcntl.LOCK_SH):
        file.close()
        raise UserError(refusal)
    return file, is_alone


def is_locked(directory: Path, name: str = ".lock") -> bool:
    """Return whether a process has locked a directory for itself."""
    path = directory / name
    if not path.is_file():  # opening a pipe would block
        return False
    with suppress(OSError, UserError), path.open() as file:
        return not _take(file, fcntl.LOCK_SH)
    return False


def claim_job(directory: Path) -> TextIO | None:
    """Lock the directory of a sweep's job until the returned file is closed everywhere; None if another process has."""
    file = (directory / CLAIM).open("a+")
    if _take(file, fcntl.LOCK_EX):
        return file
    file.close()
    return None


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Lock a file during the block, after whoever has locked it."""
    with path.open("a+") as file:
        _take(file, fcntl.LOCK_EX, wait=True)
        yield


def _take(file: TextIO, kind: int, *, wait: bool = False) -> bool:
    """Return whether a file could be locked.

    Raises:
        UserError: its file system cannot lock files.
    """
    try:
        fcntl.flock(file, kind | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(f"'{file.name}' cannot be locked ({one_line(error)}); use a file system with locks") from error
    return True
