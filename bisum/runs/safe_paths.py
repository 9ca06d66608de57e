"""Refusal to write through links, or into pipes and devices, that someone else's run directory contains."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from bisum.errors import UserError, printable
from bisum.runs.checkpoints import MERGED, MERGED_ASIDE, UPLOADS
from bisum.runs.lock import is_locked

_FILES = (
    *("run.json", "metrics.jsonl", "train.log", "tracker.log", "tracked.jsonl", "sweep.json"),
    *("optuna.journal", ".lock", ".claim", ".state", ".progress", ".submission", ".optuna.journal.lock"),
)
_FOLDERS = ("predictions", "checkpoints", "plots", "profile", ".hydra", MERGED, MERGED_ASIDE)
_OTHERS = ("wandb", "slurm", UPLOADS)
"""Folders that can contain links: of libraries, and of checkpoints that wait for their upload."""


def refuse_links(directory: Path, key: str) -> None:
    """Raise UserError, beginning with `key`, if a path that bisum writes is no regular file or folder.

    The links to checkpoints that a killed run leaves in its folder of uploads are deleted first.
    """
    if (directory / "run.json").exists() and not is_locked(directory):
        shutil.rmtree(directory / UPLOADS, ignore_errors=True)
    for path, is_folder in _written_paths(directory):
        try:
            found = path.lstat()
            mode = found.st_mode
        except FileNotFoundError:
            continue
        if not (stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode) and found.st_nlink == 1):
            kind = (
                "a link"
                if stat.S_ISLNK(mode) or stat.S_ISREG(mode)
                else "not a folder"
                if is_folder
                else "not a regular file"
            )
            raise UserError(
                f"{key}: '{printable(str(path))}' is {kind}; bisum writes only to regular files and folders: "
                "replace it with a copy, or remove it"
            )


def _written_paths(directory: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the paths that bisum writes in a run directory, each with whether it must be a folder."""
    for name in _FILES:
        yield directory / name, False
    for name in (*_FOLDERS, *_OTHERS):
        yield directory / name, True
    for name in _FOLDERS:
        for folder, folders, files in os.walk(directory / name):
            yield from ((Path(folder, inner), True) for inner in folders)
            yield from ((Path(folder, inner), False) for inner in files)
