"""Locate a model in a directory, a run, a Python package or on the hub."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bisum.errors import UserError, printable
from bisum.runs.checkpoints import OPTIMIZER, STATE, checkpoints_in, damage, epoch_name, is_adapter
from bisum.runs.record import read_record

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


def model_of(run: str) -> tuple[str, Path | None]:
    """Return the checkpoint of a run, directory or hub name, and its run directory, if any.

    Raises:
        UserError: the checkpoint is missing or damaged.
    """
    try:
        path = Path(located(run, "run"))
        is_directory = path.is_dir()
        is_file = not is_directory and path.is_file()
    except OSError as error:  # the name is too long
        raise missing_directory("run", run) from error
    if is_file:
        raise UserError(f"run: '{run}' is a file; give a run directory, a checkpoint directory or a hub model")
    if not is_directory:
        if not is_hub_name(run):
            raise missing_directory("run", run)
        return run, None
    if (path / "run.json").exists():
        return _sound(_best(run, path, read_record(run))), path
    whole = path.resolve().parents
    if len(whole) > 1 and whole[0].name == "checkpoints" and (whole[1] / "run.json").exists():
        return _sound(path), whole[1]
    if not (path / "config.json").exists() and not is_adapter(path):
        sweep = next(path.glob("*/run.json"), None)
        hint = f"; it contains the runs of a sweep, such as {sweep.parent}" if sweep else ""
        raise UserError(f"run: '{run}' has neither run.json (a run) nor config.json (a checkpoint){hint}")
    return run if run.startswith(SCHEME) else str(path), None


def is_hub_name(name: str) -> bool:
    """Return whether the hub could have a repository of this name, which can also be a local path."""
    return _HUB_NAME.fullmatch(name) is not None


def missing_directory(key: str, place: str) -> UserError:
    """Return the error for a directory that does not exist; it names the other checkpoints of the same run."""
    saved: list[str] = []
    with suppress(OSError, ValueError, RuntimeError):  # an unreadable folder, a null character, no such user
        folder = Path(place).expanduser().parent
        saved = [path.name for path in checkpoints_in(folder)] if folder.name == "checkpoints" else []
    shown = saved if len(saved) < 6 else [saved[0], "...", saved[-1]]
    hint = f"; {Path(place).parent} has {', '.join(shown)}" if saved else ""
    return UserError(f"{key}: no such directory: '{printable(place)}'{hint}")


def _best(run: str, path: Path, record: dict[str, Any]) -> Path:
    """Return the tested checkpoint of a run, or the best one so far of an unfinished run."""
    if record["job"] != "train":
        raise UserError(f"run: '{run}' is a run of `bisum {record['job']}`, which trains no model")
    folder = path / "checkpoints"
    if record.get("status") == "finished" and record.get("test"):
        return Path(folder, record["test"]["checkpoint"])
    if record.get("best"):
        return folder / epoch_name(record["best"]["epoch"])
    saved = checkpoints_in(folder)
    problem = f"has no evaluated checkpoint yet; choose one, such as {saved[-1]}" if saved else "has no checkpoint"
    raise UserError(f"run: '{run}' {problem} (status: {record.get('status')})")


def _sound(checkpoint: Path) -> str:
    """Return an intact checkpoint of bisum's own as text; only the files for resuming can be missing."""
    if problem := damage(checkpoint, unneeded=(OPTIMIZER, STATE)):
        others = [path for path in checkpoints_in(checkpoint.parent) if path != checkpoint]
        hint = f"; use {' or '.join(map(str, reversed(others)))}" if others else ""
        raise UserError(f"run: '{checkpoint}' is damaged ({problem}){hint}")
    return str(checkpoint)


SCHEME = "pkg://"


def located(name: str, key: str = "model.checkpoint") -> str:
    """Return the location of a model: the directory of `pkg://PACKAGE` or of a path with `~`; or a hub name, unchanged.

    No code of the package runs, since the name can come from an untrusted configuration.

    Raises:
        UserError: the package or home directory does not exist; `key` is the key with the name.
    """
    if not name.startswith(SCHEME):
        with suppress(RuntimeError, ValueError):  # no such user, or a null character
            if name:
                return str(Path(name).expanduser())
        raise missing_directory(key, name)
    package = name.removeprefix(SCHEME)
    first, *parts = package.split(".")
    is_package = all(part.isidentifier() for part in (first, *parts))
    if is_package and first != "__main__":  # the running program has no folder
        spec = find_spec(first)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (directory := Path(folder, *parts)).is_dir():
                return str(directory)
    raise UserError(f"{key}: '{name}': no installed Python package has the folder '{package}'")
