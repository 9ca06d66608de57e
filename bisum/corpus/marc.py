"""The Multilingual Amazon Reviews Corpus, from a local copy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisum.corpus.columns import ColumnPath, text_rows
from bisum.corpus.versions import versions_of
from bisum.errors import UserError
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.source import COLUMNS, SPLITS, RowSettings
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    import pyarrow as pa

MARC_COLUMNS = ("review_id", "review_body", "review_title", "language", "product_category")
"""The columns of a file that become `COLUMNS`, in that order; others are not read."""


@dataclass(frozen=True, kw_only=True)
class Marc(RowSettings):
    """A local copy of the Multilingual Amazon Reviews Corpus, or any corpus in its layout.

    Files are `json/{train,dev,test}/dataset_{language}_{split}.json`, in JSON lines, plain or gzipped (`.json.gz`; if
    both exist, the plain one is read). A review's title is the summary of its body. The corpus is from Keung et al.
    2020, "The Multilingual Amazon Reviews Corpus", https://arxiv.org/abs/2010.02573.
    """

    path: Name
    """The folder that contains `json`, or the `json` folder itself."""

    license: Name | None = from_conf("corpus/marc", "license")
    """Licence of the texts, for the model card; null: not stated."""

    def identity(self, languages: Sequence[str]) -> Any:
        """See `RowSettings.identity`; None if a file is missing, which `load` reports."""
        try:
            return versions_of(path for paths in self._files(languages).values() for path in paths.values())
        except UserError:
            return None

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`."""
        import pyarrow as pa

        # Find all files before reading any, so that a missing one is reported at once.
        return {
            split: pa.concat_tables([read_file(path, language) for language, path in paths.items()])
            for split, paths in self._files(languages).items()
        }

    def _files(self, languages: Sequence[str]) -> dict[str, dict[str, Path]]:
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise UserError(f"corpus.path: {folder} {what}; it must contain json/train, json/dev, json/test")
        if (folder / "json").is_dir():
            folder = folder / "json"
        names = zip(SPLITS, ("train", "dev", "test"), strict=True)
        return {split: _files(folder / name, languages) for split, name in names}


def _files(folder: Path, languages: Sequence[str]) -> dict[str, Path]:
    """Find each language's file in one split's folder."""
    if not folder.is_dir():
        raise UserError(
            f"corpus.path: {folder.parent} lacks the folder {folder.name}; it must have train, dev and test"
        )
    named = [(re.fullmatch(rf"dataset_(.+)_{folder.name}\.json(\.gz)?", path.name), path) for path in folder.iterdir()]
    # In reverse order, the plain file follows its gzipped twin and replaces it.
    found = {match[1]: path for match, path in sorted(named, key=lambda pair: pair[1], reverse=True) if match}
    for language in languages:
        if language not in found:
            raise UserError(
                f"languages: {folder} has no dataset_{language}_{folder.name}.json[.gz]; "
                f"languages found: {', '.join(sorted(found)) or 'none'}"
            )
        if not (found[language].is_file() or found[language].is_dir()):
            raise UserError(f"corpus.path: {found[language]} is not a regular file")
    return {language: found[language] for language in languages}


def read_file(path: Path, language: str) -> pa.Table:
    """Read a file of `language` into a table with the string columns `COLUMNS`, in file order.

    Raises `UserError` for a file that cannot be read (not UTF-8, broken JSON, damaged gzip), has no rows, lacks a
    column, has a value that is not a string, or has rows of another language.
    """

    import pyarrow.compute as pc

    from bisum.corpus.formats import readers

    def pick(names: Mapping[str, ColumnPath]) -> Mapping[str, ColumnPath]:
        if missing := [column for column in MARC_COLUMNS if column not in names]:
            raise UserError(f"{path}: no column {', '.join(missing)}; columns found: {', '.join(names)}")
        return paths

    paths = {role: (name,) for role, name in zip(COLUMNS, MARC_COLUMNS, strict=True)}
    rows = text_rows(readers.read_file(str(path), pick, "auto", extension=".jsonl"), str(path), paths)
    other = pc.fill_null(pc.not_equal(rows["language"], language), True)
    if pc.any(other).as_py():
        row = pc.index(other, True).as_py()
        value = rows["language"][row].as_py()
        raise UserError(f"{path}, row {row + 1}: language is {value!r}; must be {language!r}, as in the file's name")
    return rows.select(COLUMNS)
