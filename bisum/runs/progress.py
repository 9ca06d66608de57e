"""The progress of a sweep's job, in a file written by the job and read by the sweep."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bisum.printing import clean

PROGRESS = ".progress"
"""Name of the file in a run directory."""


@dataclass(frozen=True)
class StageProgress:
    """The current innermost stage of a job."""

    stage: str
    """Title, such as `training`."""
    done: float
    """Steps done."""
    total: float | None
    """Total steps; None: unknown."""
    text: str = ""
    """Text shown with it, such as the loss."""

    @property
    def line(self) -> str:
        """A short description: `training 40/200`."""
        return f"{self.stage} {self.done:,.0f}/{self.total:,.0f}" if self.total else self.stage


def write_progress(path: Path, progress: StageProgress) -> None:
    """Replace the file; an error, such as a full disk, is ignored."""
    with suppress(OSError):
        aside = path.with_name(f"{path.name}.partial")
        aside.unlink(missing_ok=True)  # it could be a link
        with aside.open("x", encoding="utf-8") as file:
            json.dump(asdict(progress), file)
        os.replace(aside, path)


def read_progress(directory: Path) -> tuple[StageProgress, float] | None:
    """Return the progress of the job in a run directory and its age in seconds; None if there is none."""
    path = directory / PROGRESS
    try:
        if not path.is_file():  # opening a pipe would block
            return None
        age = time.time() - path.stat().st_mtime
        values = json.loads(path.read_text(encoding="utf-8"))
        stage, done, total = clean(str(values["stage"])), float(values["done"]), values["total"]
        return StageProgress(stage, done, None if total is None else float(total), clean(str(values["text"]))), age
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
