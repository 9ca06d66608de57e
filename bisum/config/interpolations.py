"""The length of a configuration's interpolated texts, estimated before they are resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bisum.errors import UserError

_MAX_CHARACTERS = 1_000_000
_REFERENCE = re.compile(r"\$\{(\.*)([\w.\[\]-]+)\}")
"""A reference to another key, such as `${tracker.name}`, `${.name}` or `${tracker.tags[0]}`."""

_Key = tuple[str, ...]


def check_expansion(values: Mapping[str, Any]) -> None:
    """Refuse texts whose nested references would take very long to resolve.

    Raises:
        UserError: the first text that is too long.
    """
    known: dict[_Key, int] = {}
    for key in values:
        _length(values, (str(key),), known, ())


def _length(values: Mapping[str, Any], key: _Key, known: dict[_Key, int], above: tuple[_Key, ...]) -> int:
    """Return the resolved length of a key's value in characters; OmegaConf refuses circular references."""
    if key in known or key in above:
        return known.get(key, 0)
    node = _at(values, key)
    if isinstance(node, Mapping | list):
        names = node if isinstance(node, Mapping) else range(len(node))
        total = sum(_length(values, (*key, str(name)), known, above) for name in names)
    else:
        text, total = str(node), len(str(node))
        for dots, name in _REFERENCE.findall(text) if isinstance(node, str) else []:
            path = tuple(filter(None, re.split(r"[.\[\]]", name)))
            total += _length(values, (*(key[: -len(dots)] if dots else ()), *path), known, (*above, key))
    if total > _MAX_CHARACTERS:
        raise UserError(f"{'.'.join(key)}: interpolates to a text of more than {_MAX_CHARACTERS:,} characters")
    known[key] = total
    return total


def _at(values: Any, key: _Key) -> Any:
    for name in key:
        if isinstance(values, list) and name.isdecimal() and int(name) < len(values):
            values = values[int(name)]
        elif isinstance(values, Mapping):
            values = values.get(name)
        else:
            return None
    return values
