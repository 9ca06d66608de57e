"""The identity of a run: its configuration, without the keys that change no number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CHANGES_NO_NUMBER = ("log", "resume", "tracker", "cache_dir")


def identity(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a resolved configuration that determines a run's numbers."""
    kept = {key: value for key, value in resolved.items() if key not in _CHANGES_NO_NUMBER}
    if isinstance(corpus := kept.get("corpus"), dict):
        kept["corpus"] = {key: value for key, value in corpus.items() if key != "timeout"}
    return kept
