"""The identity of a run: its configuration, without the keys that change no number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CHANGES_NO_NUMBER = ("log", "resume", "tracker", "cache_dir", "sweep", "search")
"""Keys, and nodes with all keys below them, that change no number; also those in `_BELOW`."""
_BELOW = {
    "corpus": ("timeout",),
    "debug": ("profile", "profile_steps"),
    "hardware": ("data_loader_workers", "pin_memory"),
}


def identity(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that determines a run's numbers."""
    kept = {key: value for key, value in resolved.items() if key not in CHANGES_NO_NUMBER}
    for node, names in _BELOW.items():
        if isinstance(values := kept.get(node), Mapping):
            kept[node] = {key: value for key, value in values.items() if key not in names}
    return kept


def signature(command: str, resolved: Mapping[str, Any]) -> str:
    """Return a hash of a command and the identity of its configuration: equal for runs that compute the same."""
    import hashlib  # slow to import

    text = json.dumps([command, _plain_numbers(identity(resolved))], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _plain_numbers(value: Any) -> Any:
    """Return plain data in which a whole number is an integer, as 1 and 1.0 mean the same to every key."""
    if isinstance(value, Mapping):
        return {str(key): _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def changes_number(key: str) -> bool:
    """Return whether a dotted key is part of the identity."""
    node, _, name = key.partition(".")
    return node not in CHANGES_NO_NUMBER and name not in _BELOW.get(node, ())


def free_keys() -> list[str]:
    """Return the keys that change no number, which a run or sweep that is resumed may be given anew."""
    kept = [
        key for key in CHANGES_NO_NUMBER if key not in ("resume", "search")
    ]  # sweep: but for the keys that list the jobs
    return [*kept, *(f"{node}.{name}" for node, names in _BELOW.items() for name in names)]
