"""The lock that keeps a second process out of the directory of a run or sweep."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from bisum.errors import UserError


def lock(directory: Path, refusal: str) -> TextIO:
    """Lock a directory until the returned file is closed.

    Raises:
        UserError: another process has locked it; the message is `refusal`.
    """
    file = (directory / ".lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(refusal) from error
    return file
