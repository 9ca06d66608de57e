"""The identity of a run: its configuration without keys that do not affect results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

CHANGES_NO_NUMBER = ("log", "resume", "tracker", "cache_dir", "sweep", "search", "hub")
"""Keys and whole nodes that do not affect results, in addition to the single keys in `_BELOW`."""
_BELOW = {
    "adapter": ("merge",),
    "corpus": ("license", "timeout"),
    "debug": ("profile", "profile_steps"),
    "hardware": ("data_loader_workers", "pin_memory"),
    "model": ("base",),
}


def identity(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that determines a run's results."""
    kept = {key: value for key, value in resolved.items() if key not in CHANGES_NO_NUMBER}
    for node, names in _BELOW.items():
        if isinstance(values := kept.get(node), Mapping):
            kept[node] = _without(values, names)
    return kept


def _without(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a node without some keys, in the nodes below it too, such as a corpus inside a corpus."""
    return {
        key: _without(value, names) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if key not in names
    }


def signature(command: str, resolved: Mapping[str, Any]) -> str:
    """Return a hash of a command and its configuration's identity: equal for runs with equal results."""
    import hashlib  # slow to import

    text = json.dumps([command, _plain_numbers(identity(resolved))], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _plain_numbers(value: Any) -> Any:
    """Return plain data with whole numbers as integers, since 1 and 1.0 are equal for every key."""
    if isinstance(value, Mapping):
        return {str(key): _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def changes_number(key: str) -> bool:
    """Return whether a dotted key is part of the identity."""
    parts = key.split(".")
    return parts[0] not in CHANGES_NO_NUMBER and parts[-1] not in _BELOW.get(parts[0], ())


def free_keys() -> list[str]:
    """Return the keys that a resumed run or sweep can change, since they do not affect results."""
    # Of `sweep`, not the keys that list the jobs.
    kept = [key for key in CHANGES_NO_NUMBER if key not in ("resume", "search")]
    return [*kept, *(f"{node}.{name}" for node, names in _BELOW.items() for name in names)]
