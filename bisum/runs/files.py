"""Atomic replacement of files in a run directory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, lines: Iterable[str]) -> None:
    """Write lines to a file atomically, creating its folder: a killed process leaves either the old or the new file."""
    path.parent.mkdir(exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    with aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{line}\n" for line in lines)
    os.replace(aside, path)
