"""Where rows come from. A new source is a class with `load` and `RowSettings`; nothing else changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol, runtime_checkable

from annotated_types import Ge

from bisum.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("id", "document", "summary", "language", "category")
SPLITS = ("train", "validation", "test")


@runtime_checkable
class Source(Protocol):
    """A corpus: three splits of rows, and how to use them."""

    @property
    def max_train_rows(self) -> int | None: ...  # noqa: D102

    @property
    def max_eval_rows(self) -> int | None: ...  # noqa: D102

    @property
    def language_temperature(self) -> float: ...  # noqa: D102

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """Read the rows of `languages` of each of `SPLITS` that there is, as tables with the string columns `COLUMNS`.

        Rows keep their order in the source; languages are concatenated in the order asked. Ids are unique within
        a split; `category` may be null. The settings are not applied here. Raises `UserError` for a language or a
        file that is not there, or that does not hold such rows.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """How many rows of a corpus to use, a seeded sample that keeps the languages' shares, and how to train on them."""

    max_train_rows: Annotated[int, Ge(1)] | None
    """Rows of the train split, all languages together (at least 1; null: all rows)."""

    max_eval_rows: Annotated[int, Ge(1)] | None
    """Rows of validation and of test, each, all languages together (at least 1; null: all rows)."""

    language_temperature: Annotated[float, Ge(1)]
    """T, by which a language with n training rows has a share of each epoch proportional to n^(1/T).

    At 1 languages have the shares that they have; the larger, the nearer to equal shares, so that the rows of
    small ones come more often. An epoch's number of rows stays; validation and test do not change.
    """


@dataclass(frozen=True, kw_only=True)
class Sample(RowSettings):
    """The corpus that comes with bisum: package descriptions in English and Spanish (see `sample/README.md`)."""

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        folder = Path(__file__).parent / "sample"
        splits = {split: pq.read_table(folder / f"{split}.parquet") for split in SPLITS}
        found = sorted(pc.unique(splits["train"]["language"]).to_pylist())
        for language in languages:
            if language not in found:
                raise UserError(f"languages: the sample corpus has no {language!r}; it has {', '.join(found)}")
        return {
            split: pa.concat_tables([rows.filter(pc.field("language") == language) for language in languages])
            for split, rows in splits.items()
        }


@dataclass(frozen=True, kw_only=True)
class Marc(RowSettings):
    """A local copy of the Multilingual Amazon Reviews Corpus, or any corpus in its layout.

    Files are `json/{train,dev,test}/dataset_{language}_{split}.json`, JSON lines, plain or gzipped (`.json.gz`;
    where both are there the plain one is read). A review's title is the summary of its body. The corpus: Keung et
    al. 2020, "The Multilingual Amazon Reviews Corpus", https://arxiv.org/abs/2010.02573.
    """

    path: str
    """The folder that holds `json`, or the `json` folder itself."""

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`."""
        import pyarrow as pa

        from bisum.corpus.marc import read_file

        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise UserError(f"corpus.path: {folder} {what}; give the folder that holds json/train, json/dev, json/test")
        if (folder / "json").is_dir():
            folder = folder / "json"
        # Every file is found before the first is read, so that a missing one costs no wait.
        names = zip(SPLITS, ("train", "dev", "test"), strict=True)
        files = {split: _files(folder / name, languages) for split, name in names}
        return {
            split: pa.concat_tables([read_file(path, language) for language, path in paths.items()])
            for split, paths in files.items()
        }


def _files(folder: Path, languages: Sequence[str]) -> dict[str, Path]:
    """Find each language's file in one split's folder."""
    if not folder.is_dir():
        raise UserError(f"corpus.path: {folder.parent} has no folder {folder.name}; it must have train, dev and test")
    named = [(re.fullmatch(rf"dataset_(.+)_{folder.name}\.json(\.gz)?", path.name), path) for path in folder.iterdir()]
    # In reverse order the plain file comes after its gzipped twin, and replaces it.
    found = {match[1]: path for match, path in sorted(named, key=lambda pair: pair[1], reverse=True) if match}
    for language in languages:
        if language not in found:
            raise UserError(
                f"languages: {folder} has no dataset_{language}_{folder.name}.json[.gz]; "
                f"languages found: {', '.join(sorted(found)) or 'none'}"
            )
    return {language: found[language] for language in languages}
