"""The settings of commands that compose nothing: a few keys, which the command line gives as they are typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args, get_origin

from bisum.config.annotations import members, signature_hints
from bisum.config.checking import build
from bisum.config.options import CompareOptions
from bisum.errors import UserError
from bisum.interfaces.defaults import defaults_of

PLAIN_SCHEMAS: Mapping[str, type] = MappingProxyType({"compare": CompareOptions})
"""Schema of the settings in `conf/NAME.yaml`, by command."""


def plain_options(command: str, arguments: Sequence[str]) -> Any:
    """Return the checked settings of a command: its defaults, and `key=value` arguments in their place.

    A value is read as the type of its key: nothing turns `no` into false, or 1e5 into a number, where text is meant.

    Raises:
        UserError: a line for each unknown key, wrong type or value out of range.
    """
    schema = PLAIN_SCHEMAS[command]
    hints = signature_hints(schema)
    values: dict[str, Any] = dict(defaults_of(command))
    given: set[str] = set()
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or key.startswith(("+", "~")):
            raise UserError(f"'{argument}': bisum {command} composes nothing; its settings are key=value")
        if key in given:
            raise UserError(f"'{argument}': give {key} once")
        given.add(key)
        values[key] = _read(hints[key], text) if key in hints else text
    return build(schema, values)


def _read(annotation: Any, text: str) -> Any:
    """Return a value from its text; the text itself if it is none of its type."""
    kinds = members(annotation)
    if text == "null" and type(None) in kinds:
        return None
    for kind in kinds:
        listed = re.fullmatch(r"\s*\[(.*)\]\s*", text, re.DOTALL)
        if get_origin(kind) is list and listed:
            items = [item.strip() for item in listed[1].split(",")] if listed[1].strip() else []
            return [_read(get_args(kind)[0], item) for item in items]
    return int(text) if int in kinds and re.fullmatch(r"-?[0-9]{1,18}", text) else text
