"""Files of a run directory, replaced in one step."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, lines: Iterable[str]) -> None:
    """Write a file of lines, and its folder, in one step: a process killed at any instant leaves the old or the new."""
    path.parent.mkdir(exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    with aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{line}\n" for line in lines)
    os.replace(aside, path)
