"""The refusal to write where a stranger's run directory leads: through links, into pipes and devices."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bisum.errors import UserError, printable

_FILES = (
    *("run.json", "metrics.jsonl", "train.log", "tracker.log", "tracked.jsonl", "sweep.json"),
    *("optuna.journal", ".lock", ".claim", ".state", ".progress", ".submission", ".optuna.journal.lock"),
)
_FOLDERS = ("predictions", "checkpoints", "plots", "profile", ".hydra")
_OTHERS = ("wandb", "slurm")
"""Folders whose contents, links among them, are a library's own."""


def refuse_links(directory: Path, key: str) -> None:
    """Raise UserError, beginning with `key`, if what bisum writes in a run directory is no regular file or folder."""
    for path, is_folder in _own(directory):
        try:
            found = path.lstat()
            mode = found.st_mode
        except FileNotFoundError:
            continue
        if not (stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode) and found.st_nlink == 1):
            what = (
                "a link"
                if stat.S_ISLNK(mode) or stat.S_ISREG(mode)
                else "not a folder"
                if is_folder
                else "not a regular file"
            )
            raise UserError(
                f"{key}: '{printable(str(path))}' is {what}; bisum writes only to regular files and folders: "
                "replace it with a copy, or remove it"
            )


def _own(directory: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what bisum writes in a run directory, each with whether it must be a folder."""
    for name in _FILES:
        yield directory / name, False
    for name in (*_FOLDERS, *_OTHERS):
        yield directory / name, True
    for name in _FOLDERS:
        for folder, folders, files in os.walk(directory / name):
            yield from ((Path(folder, inner), True) for inner in folders)
            yield from ((Path(folder, inner), False) for inner in files)
