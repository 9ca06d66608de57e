"""Checkpoint folders of a run directory: their names and the verification of their files."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from pathlib import Path

from bisum.runs.files import digest

MANIFEST = "manifest.json"
STATE = "state.json"
WEIGHTS = "model.safetensors"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
BASE = "base.json"
OPTIMIZER = "optimizer.safetensors"
MERGED = "merged"
"""Folder in the run directory of the best checkpoint, merged into its base."""
MERGED_ASIDE = ".merged.partial"
UPLOADS = ".uploads"
"""Folder in the run directory of the checkpoints that wait for their upload to the hub."""

_NAME = re.compile(r"epoch-\d{1,12}(\.\d{1,12})?", re.ASCII)


def is_name(name: str) -> bool:
    """Return whether a name is a checkpoint's, `epoch-<n>`."""
    return _NAME.fullmatch(name) is not None


def epoch_name(epoch: float) -> str:
    """Return `epoch-<n>`, with as few decimals as possible (at most 12)."""
    return "epoch-" + f"{epoch:.12f}".rstrip("0").rstrip(".")


def checkpoints_in(directory: Path) -> list[Path]:
    """Return the checkpoints in a folder, from oldest to newest."""
    found = [path for path in directory.glob("epoch-*") if is_name(path.name) and path.is_dir()]
    return sorted(found, key=epoch_of)


def epoch_of(checkpoint: Path) -> float:
    """Return the n of a checkpoint's name, `epoch-<n>`."""
    return float(checkpoint.name.removeprefix("epoch-"))


def is_adapter(folder: Path) -> bool:
    """Return whether a checkpoint contains an adapter, whose base is elsewhere, instead of a whole model."""
    return (folder / ADAPTER_CONFIG).is_file()


def weights_file(folder: Path) -> str:
    """Return the name of the file with a checkpoint's weights."""
    return ADAPTER_WEIGHTS if is_adapter(folder) else WEIGHTS


def damage(checkpoint: Path, unneeded: Container[str] = ()) -> str | None:
    """Return the damage to a checkpoint's files, ignoring the `unneeded` ones; None if they are intact."""
    if (checkpoint / MANIFEST).exists() and not (checkpoint / MANIFEST).is_file():
        return "its manifest is not a file"  # opening a pipe would block
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "its manifest is missing or broken"
    if not isinstance(manifest, dict) or STATE not in manifest or not manifest.keys() & {WEIGHTS, ADAPTER_WEIGHTS}:
        return "its manifest is missing or broken"
    for name, written in manifest.items():
        path = checkpoint / name
        if name in unneeded:
            continue
        if not path.is_file():
            return f"{name} is missing"
        if digest(path) != written:
            return f"{name} has changed"
    return None
