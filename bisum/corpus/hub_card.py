"""The card of a data set in a local folder, README.md or .huggingface.yaml, which can name files to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bisum.errors import UserError, without_secrets


def refuse_files_elsewhere(folder: Path) -> None:
    """Refuse a card that names files outside its folder, which the `datasets` library would read or download.

    Raises:
        UserError: the card names a URL or another folder.
    """
    import yaml
    from datasets import config
    from huggingface_hub import DatasetCard

    for path in (folder / config.REPOCARD_FILENAME, folder / config.REPOYAML_FILENAME):
        found: Any = None
        with suppress(Exception):  # the library refuses a card that cannot be parsed
            is_card = path.name == config.REPOCARD_FILENAME
            text = path.read_text(encoding="utf-8")
            card: Any = DatasetCard(text, ignore_metadata_errors=True) if is_card else None
            found = card.data.to_dict() if card else yaml.safe_load(text)
        _refuse_names(path, found.get("configs") if isinstance(found, dict) else None)


def _refuse_names(path: Path, configurations: Any) -> None:
    for name in _names(configurations):
        if "://" in name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(
                f"corpus.repo: {path} names '{without_secrets(name)}', outside its folder; remove that entry, or "
                "read the file with corpus=files"
            )


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [item for key, item in value.items() if key in ("data_files", "data_dir", "path")]
    if isinstance(value, list):
        for item in value:
            yield from _names(item)
    elif isinstance(value, str):
        yield value
