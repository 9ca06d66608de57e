"""The identity of a run: its configuration without keys that do not affect results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CHANGES_NO_NUMBER = ("log", "resume", "tracker", "cache_dir", "sweep", "search", "hub")
"""Nodes and keys at the top that do not affect results, in addition to the single keys in `_BELOW`."""
_BELOW = (
    "adapter.merge",
    "corpus.license",
    "corpus.timeout",
    "corpus.of.license",  # a corpus inside a corpus
    "corpus.of.timeout",
    "debug.profile",
    "debug.profile_steps",
    "hardware.data_loader_workers",
    "hardware.pin_memory",
    "model.base",
)
_ADDED_KEYS: dict[str, dict[str, Any]] = {
    "model": {"long_documents": "truncate", "chunk_summaries": "summarize", "trim_vocabulary": False},
    "generation": {"engine": "auto", "quantization": "none"},
}
"""Keys that older records lack, by group, with values that give the same results."""


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded configuration with the keys that it lacks because its run is older than they are."""
    groups = {name: config.get(name) for name in _ADDED_KEYS}
    filled = {name: {**_ADDED_KEYS[name], **group} for name, group in groups.items() if isinstance(group, Mapping)}
    return {**config, **filled}


def identity(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that determines a run's results."""
    kept = {key: value for key, value in completed(resolved).items() if key not in CHANGES_NO_NUMBER}
    for key in _BELOW:
        kept = _without(kept, key)
    return kept


def _without(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return values without the one at a dotted key."""
    first, _, rest = key.partition(".")
    if not rest:
        return {name: value for name, value in values.items() if name != first}
    node = values.get(first)
    return {**values, first: _without(node, rest)} if isinstance(node, Mapping) else {**values}


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
    return key.partition(".")[0] not in CHANGES_NO_NUMBER and key not in _BELOW


def free_keys() -> list[str]:
    """Return the keys that a resumed run or sweep can change, since they do not affect results."""
    # Of `sweep`, not the keys that list the jobs.
    kept = [key for key in CHANGES_NO_NUMBER if key not in ("resume", "search")]
    return [*kept, *_BELOW]
