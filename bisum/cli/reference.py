"""The keys of a command line and the opening comments of YAML files, for help and completion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bisum.config.composition import Composer
from bisum.config.reference import Key, keys_of
from bisum.config.schema import SCHEMAS


def composed_keys(composer: Composer, overrides: Sequence[str]) -> list[Key]:
    """Return every key of the configuration that `overrides` compose; raises `UserError` as composition does."""
    return list(keys_of(SCHEMAS[composer.command], composer.values(overrides)))


def opening(file: Path) -> tuple[str, str]:
    """Return the opening comments of a YAML file: a description, and a command that uses it."""
    comments = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# ").strip())
    comments = [comment for comment in comments if not comment.startswith("@package")]
    commands = [comment for comment in comments if comment.startswith("bisum ")]
    about = [comment for comment in comments if comment not in commands]
    return (about[0] if about else "", commands[0] if commands else "")
