"""Short run names that distinguish the runs of a project."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bisum.config.checking import LIST_GROUPS
from bisum.config.provenance import Provenance

_SHORT = {"trainer.learning_rate": "lr", "seed": "s", "trainer.batch_size": "bs", "trainer.epochs": "ep"}
_LONGEST = 100
_UNNAMED = ("model", "tracker", "hardware", "hydra", "cache_dir", "resume", "log")
"""Keys omitted from a run name, except that the model comes first."""


def run_name(provenance: Provenance) -> str:
    """Return a name from the model and the other overrides, such as `mt5_small-lr5e-05-s1`.

    If the name is too long, the earliest overrides are omitted.
    """
    return _name(provenance, provenance.overrides)


def system_name(provenance: Provenance) -> str:
    """Return the run name without the seed, such as `mt5_small-lr5e-05`; runs that differ only in the seed share it."""
    return _name(provenance, [override for override in provenance.overrides if _key(override) != "seed"])


def _name(provenance: Provenance, overrides: Iterable[str]) -> str:
    parts = [provenance.choices.get("model", "model")]
    for override in overrides:
        key, option = _key(override), override.partition("=")[2]
        if key == "model.checkpoint":
            parts[0] = _shown(provenance, key)
        elif key in provenance.choices or key in LIST_GROUPS:
            parts += [option.strip("[]").replace(",", "+")] if key not in _UNNAMED else []
        elif re.split(r"[./]", key)[0] not in _UNNAMED[1:] and not key.startswith("~"):
            parts.append(_SHORT.get(key, key.rpartition(".")[2]) + _shown(provenance, key))
    while len(parts) > 2 and len("-".join(parts)) > _LONGEST:
        del parts[1]
    return "-".join(parts)[:_LONGEST]


def _key(override: str) -> str:
    return override.lstrip("+").partition("=")[0]


def _shown(provenance: Provenance, key: str) -> str:
    """Return a short form of a dotted key's value; paths are reduced to the last component."""
    node: Any = provenance.recorded.config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    text = "+".join(map(str, node)) if isinstance(node, list) else str(node)
    return text.rstrip("/").rpartition("/")[2]
