"""Locate a model: in a directory, a run, a Python package or on the hub."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bisum.errors import UserError
from bisum.runs.checkpoints import OPTIMIZER, STATE, checkpoints_in, damage, epoch_name
from bisum.runs.record import read_record

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


def model_of(run: str) -> tuple[str, Path | None]:
    """Return the checkpoint that a run, a directory or a hub name stands for, and its run directory, if any.

    Raises:
        UserError: it means none, or a damaged one.
    """
    try:
        path = Path(located(run, "run"))
        is_directory = path.is_dir()
        is_file = not is_directory and path.is_file()
    except OSError as error:  # the name is too long
        raise UserError(f"run: there is no directory '{run}'") from error
    if is_file:
        raise UserError(f"run: '{run}' is a file; name a run directory, a checkpoint directory or a hub model")
    if not is_directory:
        if not _HUB_NAME.fullmatch(run):
            raise UserError(f"run: there is no directory '{run}'")
        return run, None
    if (path / "run.json").exists():
        return _sound(_best(run, path, read_record(run))), path
    whole = path.resolve().parents
    if len(whole) > 1 and whole[0].name == "checkpoints" and (whole[1] / "run.json").exists():
        return _sound(path), whole[1]
    if not (path / "config.json").exists():
        sweep = next(path.glob("*/run.json"), None)
        hint = f"; it holds a sweep's runs, such as {sweep.parent}" if sweep else ""
        raise UserError(f"run: '{run}' is neither a run directory nor a checkpoint: no run.json, no config.json{hint}")
    return run if run.startswith(SCHEME) else str(path), None


def _best(run: str, path: Path, record: dict[str, Any]) -> Path:
    """Return the checkpoint that a run was tested with, or the best so far of an unfinished run."""
    if record["job"] != "train":
        raise UserError(f"run: '{run}' is of `bisum {record['job']}`, which trains no model")
    folder = path / "checkpoints"
    if record.get("status") == "finished" and record.get("test"):
        return Path(folder, record["test"]["checkpoint"])
    if record.get("best"):
        return folder / epoch_name(record["best"]["epoch"])
    saved = checkpoints_in(folder)
    hint = f"has evaluated none of its checkpoints yet; name one, such as {saved[-1]}" if saved else "has no checkpoint"
    raise UserError(f"run: '{run}' {hint} (its status: {record.get('status')})")


def _sound(checkpoint: Path) -> str:
    """Return a checkpoint of bisum's own as text; only what a training continues from may be missing."""
    if problem := damage(checkpoint, unneeded=(OPTIMIZER, STATE)):
        others = [path for path in checkpoints_in(checkpoint.parent) if path != checkpoint]
        hint = f"; there is also {', '.join(map(str, reversed(others)))}" if others else ""
        raise UserError(f"run: '{checkpoint}' is damaged ({problem}){hint}")
    return str(checkpoint)


SCHEME = "pkg://"


def located(name: str, key: str = "model.checkpoint") -> str:
    """Return where a model is: `pkg://PACKAGE` is the package's own directory, `~` the home; a hub name stays itself.

    No code of the package is run: the name may come from a configuration of someone else.

    Raises:
        UserError: the package or home does not exist; `key` names what asked for it.
    """
    if not name.startswith(SCHEME):
        with suppress(RuntimeError):  # no such user
            if name:
                return str(Path(name).expanduser())
        raise UserError(f"{key}: there is no directory '{name}'")
    package = name.removeprefix(SCHEME)
    first, *parts = package.split(".")
    if (
        all(part.isidentifier() for part in (first, *parts)) and first != "__main__"
    ):  # the program itself has no package
        spec = find_spec(first)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (directory := Path(folder, *parts)).is_dir():
                return str(directory)
    raise UserError(f"{key}: '{name}': no folder of an installed Python package is '{package}'")
