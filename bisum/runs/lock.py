"""The lock that keeps a second process out of the directory of a run or sweep."""

from __future__ import annotations

import fcntl
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from bisum.errors import UserError

_TRIES = 3
_WAIT = 0.05
"""Seconds between two tries."""


def lock(directory: Path, refusal: str) -> TextIO:
    """Lock a directory until the returned file is closed.

    Raises:
        UserError: another process has locked it; the message is `refusal`.
    """
    file = (directory / ".lock").open("a")
    for remaining in reversed(range(_TRIES)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if not remaining:
                file.close()
                raise UserError(refusal) from error
            time.sleep(_WAIT)  # `is_locked` holds it for an instant
    return file


def is_locked(directory: Path) -> bool:
    """Return whether a process on this machine has locked a directory."""
    path = directory / ".lock"
    if not path.is_file():  # opening a pipe would block
        return False
    with suppress(OSError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
