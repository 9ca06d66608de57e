"""Checks of JSON files, which can have been edited, against the entries that bisum writes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bisum.errors import UserError, one_line, printable
from bisum.runs.checkpoints import is_name


class Kind(NamedTuple):
    """The values that an entry can have."""

    description: str
    fits: Callable[[Any], bool]
    type: Kind | None = None
    """The wider kind, reported if a value does not fit even that."""

    def problem(self, value: Any) -> str | None:
        """Return the requirement that a value violates; None if it fits."""
        if self.fits(value):
            return None
        return (self.type and self.type.problem(value)) or f"must be {self.description}"


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; a whole one must fit in 64 bits."""
    return type(value) in (int, float) and (abs(value) < 2**63 if type(value) is int else math.isfinite(value))


def or_null(kind: Kind) -> Kind:
    """Return the kind that also allows null."""
    wider = kind.type and or_null(kind.type)
    return Kind(f"{kind.description} or null", lambda value: value is None or kind.fits(value), wider)


TEXT = Kind("text", lambda value: isinstance(value, str))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
LIST = Kind("a list", lambda value: isinstance(value, list))
TEXTS = Kind("a list of texts", lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value))
WHOLE = Kind("a whole number", lambda value: type(value) is int and 0 <= value < 2**63)
THREADS = Kind("a whole number from 1 to 512", lambda value: WHOLE.fits(value) and 1 <= value <= 512)
NUMBER = Kind("a number", is_number)
SCORE = Kind("a number or null", lambda value: value is None or type(value) in (int, float))
FLAG = Kind("true, false or null", lambda value: value is None or type(value) is bool)
RANGE = Kind(
    "a list of two numbers or nulls",
    lambda value: isinstance(value, list) and len(value) == 2 and all(end is None or is_number(end) for end in value),
    LIST,
)
CHECKPOINT = Kind("the name of a checkpoint, epoch-<n>", lambda value: isinstance(value, str) and is_name(value), TEXT)
SPLIT = Kind("train, validation or test", lambda value: value in ("train", "validation", "test"), TEXT)
FILE_NAME = Kind(
    "the name of a file, without folders",
    lambda value: isinstance(value, str) and Path(value).name == value and "\0" not in value,
    TEXT,
)
IDENTIFIER = Kind(
    "1 to 128 letters, digits, - and _",
    lambda value: isinstance(value, str) and re.fullmatch(r"[\w-]{1,128}", value) is not None,
    TEXT,
)

Entries = Mapping[str, Kind]
"""Kinds of entries by dotted key. A `?` marks an optional entry; `*` matches every key not listed."""


def read_object(path: Path, entries: Entries) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        FileNotFoundError: the file is missing.
        UserError: the file cannot be read, or an entry is missing or of the wrong kind.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"'{path}' is not a file")  # opening a pipe would block
    try:
        text = path.read_text(encoding="utf-8")
        if not text.strip("\0 \n"):
            raise UserError(f"'{path}' is empty, possibly after a power failure; restore a backup, or start again")
        values = json.loads(text)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"'{path}' cannot be read: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise UserError(f"'{path}' must contain an object; restore the original file")
    if problem := wrong_entry(values, entries):
        raise UserError(f"'{path}': {problem}; restore the original value")
    return values


def wrong_entry(values: Mapping[str, Any], entries: Entries) -> str | None:
    """Return the problem of the first entry that is missing or of the wrong kind; None if there is none."""
    named = {entry.rstrip("?") for entry in entries}
    for entry, kind in entries.items():
        *parents, name = entry.rstrip("?").split(".")
        for at, node in _nodes(values, parents):
            if name == "*":
                keys = [key for key in node if ".".join([*parents, key]) not in named]
            else:
                keys = [name] if name in node or not entry.endswith("?") else []
            for key in keys:
                if problem := kind.problem(node[key]) if key in node else "is missing":
                    return f"{printable('.'.join([*at, key]))} {problem}"
    return None


def _nodes(
    node: Any, parents: list[str], at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the objects under a key with their keys; other values are checked by the parent's entry."""
    if not isinstance(node, dict):
        return
    if not parents:
        yield at, node
        return
    for key in node if parents[0] == "*" else [parents[0]]:
        yield from _nodes(node.get(key), parents[1:], (*at, key))
