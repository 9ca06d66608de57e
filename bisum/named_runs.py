"""What a command line names: a run directory, a checkpoint or a model of the hub, and the `run.json` beside it."""

from __future__ import annotations

import json
import re
from functools import reduce
from pathlib import Path
from typing import Any, cast

from bisum.errors import UserError
from bisum.models.packaged import SCHEME, located
from bisum.records.checkpoint_files import OPTIMIZER, STATE, checkpoints_in, damage, epoch_name

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_ENTRIES: dict[str, tuple[type, ...]] = {
    "job": (str,),
    "status?": (str,),
    "config": (dict,),
    "config.model": (dict,),
    "config.model.max_document_tokens": (int,),
    "config.model.max_summary_tokens": (int,),
    "config.evaluation?": (dict,),
    "choices?": (dict,),
    "test?": (dict, type(None)),
    "test.checkpoint": (str,),
    "best?": (dict, type(None)),
    "best.epoch": (float, int),
    "data?": (dict,),
    "seconds?": (dict,),
}
"""Entries of a `run.json`, which a person may have edited, that are read before the schema has seen them; with a
question mark, those that need not be there."""
_WORDS = {str: "text", dict: "an object", int: "a whole number", float: "a number"}


def read_record(run: str | Path) -> dict[str, Any]:
    """Return the `run.json` of a run directory.

    Raises:
        UserError: there is none, it cannot be read, or an entry is not of the type that bisum writes.
    """
    path = Path(run).expanduser() / "run.json"
    if Path(run).is_file():
        raise UserError(f"'{run}' is a file; give the run directory")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"'{run}' is not a run directory: it has no run.json") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise UserError(f"'{path}' must hold an object, as bisum wrote it")
    for entry, types in _ENTRIES.items():
        key = entry.rstrip("?")
        *parents, name = key.split(".")
        node: Any = reduce(lambda node, parent: node and node.get(parent), parents, cast(Any, record))
        may_lack = node is None or (key != entry and name not in node)
        if not may_lack and type(node.get(name)) not in types:
            raise UserError(f"'{path}': {key} must be {_WORDS[types[0]]}, as bisum wrote it")
    return record


def model_of(run: str) -> tuple[str, Path | None]:
    """Return the checkpoint that is meant by a run, a directory or a hub name, and the run directory that it is of.

    Raises:
        UserError: it means none, or a damaged one.
    """
    try:
        path = Path(located(run, "run"))
        is_directory = path.is_dir()
        is_file = not is_directory and path.is_file()
    except OSError as error:  # too long a name
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
    """Return the checkpoint that a run was tested with or, of one that is not finished, its best so far."""
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
