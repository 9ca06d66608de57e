"""The settings of commands without composition: a few keys, read from the command line as typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args, get_origin

from bisum.config.annotations import members, node_class, signature_hints
from bisum.config.checking import build
from bisum.config.hub_options import PushOptions
from bisum.config.options import CompareOptions
from bisum.errors import UserError
from bisum.interfaces.defaults import defaults_of

PLAIN_SCHEMAS: Mapping[str, type] = MappingProxyType({"compare": CompareOptions, "push": PushOptions})
"""Schema of the settings in `conf/COMMAND.yaml`, by command."""


def plain_options(command: str, arguments: Sequence[str]) -> Any:
    """Return the checked settings of a command: its defaults, replaced by `key=value` arguments.

    Values are read by the type of their key: in text, `no` and 1e5 stay text.

    Raises:
        UserError: a line for each unknown key, wrong type or value out of range.
    """
    schema = PLAIN_SCHEMAS[command]
    values = defaults_of(command)
    given: set[str] = set()
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or key.startswith(("+", "~")):
            raise UserError(f"'{argument}': bisum {command} accepts only key=value settings")
        if key in given:
            raise UserError(f"'{argument}': {key} is given twice; give it once")
        given.add(key)
        node, owner, name = _owner(values, schema, key)
        hints = signature_hints(owner)
        node[name] = _read(hints[name], text) if name in hints else text
    return build(schema, values)


def _owner(values: dict[str, Any], schema: type, key: str) -> tuple[dict[str, Any], type, str]:
    """Return the innermost node that contains a dotted key, its class, and the rest of the key."""
    first, _, rest = key.partition(".")
    inner = node_class(signature_hints(schema).get(first))
    if not rest or inner is None:
        return values, schema, key
    if not isinstance(values.get(first), dict):
        values[first] = {}
    return _owner(values[first], inner, rest)


def _read(annotation: Any, text: str) -> Any:
    """Return the value of a text; the text itself if it does not have the annotated type."""
    options = members(annotation)
    if text == "null" and type(None) in options:
        return None
    for option in options:
        listed = re.fullmatch(r"\s*\[(.*)\]\s*", text, re.DOTALL)
        if get_origin(option) is list and listed:
            items = [item.strip() for item in listed[1].split(",")] if listed[1].strip() else []
            return [_read(get_args(option)[0], item) for item in items]
    if text in ("true", "false") and bool in options:
        return text == "true"
    return int(text) if int in options and re.fullmatch(r"-?[0-9]{1,18}", text) else text
