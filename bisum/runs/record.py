"""Reader of a run's record, `run.json`."""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path
from typing import Any, cast

from bisum.errors import UserError

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
"""Types of the `run.json` entries that are read before schema validation; a user may have edited the file.

A question mark after the name marks an optional entry.
"""
_WORDS = {str: "text", dict: "an object", int: "a whole number", float: "a number"}


def read_record(run: str | Path) -> dict[str, Any]:
    """Return the contents of a run directory's `run.json`.

    Raises:
        UserError: the file is missing or unreadable, or an entry does not have the type that bisum writes.
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
