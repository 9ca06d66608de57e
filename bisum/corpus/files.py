"""A corpus in a user's files: CSV, TSV, JSON lines, JSON or Parquet, plain or compressed, local or at a URL."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisum.corpus.formats.quoting import Quoting
from bisum.corpus.hub import is_saved
from bisum.corpus.locations import readable
from bisum.corpus.tables import Part, Tables
from bisum.corpus.versions import versions_of
from bisum.errors import UserError, login_end, nearest, without_secrets
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.source import SPLITS
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    import pyarrow as pa

LANGUAGE = "{language}"


@dataclass(frozen=True, kw_only=True)
class Files(Tables):
    """Rows from files that name their columns.

    Files are given as a path, a pattern (`data/train-*.parquet`) or a URL that fsspec can read. If a name contains
    `{language}`, each language has its own file.
    """

    path: Name | list[Name] | None = from_conf("corpus/files", "path")
    """Files of all rows, which bisum splits (null: `train` is given instead)."""

    train: Name | list[Name] | None = from_conf("corpus/files", "train")
    """Files of train; a split without files takes a share of train (null: `path` names all rows, or no train)."""

    validation: Name | list[Name] | None = from_conf("corpus/files", "validation")
    """Files of validation (null: a share of train)."""

    test: Name | list[Name] | None = from_conf("corpus/files", "test")
    """Files of test (null: a share of train)."""

    quoting: Quoting = from_conf("corpus/files", "quoting")
    """Meaning of double quotes in CSV and TSV, named as in Python's csv: minimal, none, or auto.

    minimal: they enclose values that contain separators, line ends or double quotes, which are doubled (RFC 4180).
    none: they are ordinary text. auto: minimal in CSV, except that a value that seems to contain rows is refused; none
    in TSV, unless the header is quoted or only quoting gives all rows as many values as the header.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is not None and self.train is not None:
            raise UserError("path: conflicts with corpus.train; set path (files of all rows) or train (files of train)")
        if not self._names():
            raise UserError("path: no files given; set path (files of all rows), or train, validation and test")
        if self.path is not None and (
            given := [name for name in ("validation", "test") if getattr(self, name) is not None]
        ):
            names = " and ".join(f"corpus.{name}" for name in given)
            raise UserError(f"path: conflicts with {names}; give the other files as corpus.train")
        for key, patterns in self._names().items():
            if not patterns:
                raise UserError(f"{key}: must name at least one file")
            for pattern in patterns:
                if re.search(r"://.*[?;#]\.\.\.$", pattern):
                    raise UserError(f"{key}: '{pattern}' is a URL recorded without its secrets; give the whole URL")
                if _login(pattern):
                    raise UserError(
                        f"{key}: a URL must not contain a login (NAME:PASSWORD@); put it into fsspec's configuration "
                        "or environment"
                    )
                if (LANGUAGE in pattern) != self.per_language:
                    raise UserError(
                        f"{key}: '{without_secrets(pattern)}' lacks {LANGUAGE}; put it into all names or none"
                    )

    @property
    def per_language(self) -> bool:
        """See `Tables.per_language`."""
        return any(LANGUAGE in pattern for patterns in self._names().values() for pattern in patterns)

    def parts(self, language: str | None) -> Mapping[str, Sequence[Part]]:
        """See `Tables.parts`."""
        from bisum.corpus.formats.readers import read_file

        return {
            "train" if key == "path" else key: [
                (
                    readable(file),
                    partial(read_file, file, key=f"corpus.{key}", quoting=self.quoting, timeout=self.timeout),
                )
                for pattern in patterns
                for file in _found(pattern.replace(LANGUAGE, language or LANGUAGE), f"corpus.{key}", self.timeout)
            ]
            for key, patterns in self._names().items()
        }

    def identity(self, languages: Sequence[str]) -> Any:
        """See `RowSettings.identity`; None for files at URLs, and if a file is missing, which `load` reports."""
        named = languages if self.per_language else [LANGUAGE]
        patterns = [(key, pattern) for key, patterns in self._names().items() for pattern in patterns]
        if any("://" in pattern for _, pattern in patterns):
            return None
        try:
            return versions_of(
                file
                for language in named
                for key, pattern in patterns
                for file in _found(pattern.replace(LANGUAGE, language), f"corpus.{key}", self.timeout)
            )
        except UserError:
            return None

    def load(self, languages: Sequence[str]) -> dict[str, pa.Table]:
        """See `Source.load`."""
        try:
            return super().load(languages)
        except UserError as error:
            raise UserError(readable(str(error))) from error

    def _names(self) -> dict[str, list[str]]:
        """Return the patterns of each key that is given."""
        given = {key: getattr(self, key) for key in ("path", *SPLITS)}
        return {key: [value] if isinstance(value, str) else value for key, value in given.items() if value is not None}


def _login(url: str) -> bool:
    """Return whether a URL, or a link of an fsspec chain, contains a login."""
    links = (link.partition("://") for link in url.split("::"))
    return any(login_end(protocol, rest) for protocol, _, rest in links)


def _found(pattern: str, key: str, timeout: float) -> list[str]:
    """Return the files that a path, pattern or URL names, in order, after checking their extensions."""
    from bisum.corpus.formats.readers import COMPRESSIONS, FORMATS, split_extension

    files = _expanded(pattern, key, timeout)
    if not files:
        raise UserError(f"{key}: no file matches '{pattern}'")
    for file in files:
        is_local = "://" not in file
        path = Path(file).expanduser()
        if is_local and path.is_dir():
            if saved := _saved_to_disk(path):
                raise UserError(f"{key}: {file} {saved}")
            raise UserError(f"{key}: {file} is a folder; name its files, for example '{file.rstrip('/')}/*.csv'")
        if is_local and not path.exists():
            near = nearest(path.name, [other.name for other in path.parent.glob("*")])
            raise UserError(f"{key}: file {file} does not exist{near}")
        if is_local and not path.is_file():
            raise UserError(f"{key}: {file} is not a regular file; save its rows to a file first")
        _, extension = split_extension(file)
        if is_local and extension == ".arrow" and (saved := _saved_to_disk(path.parent)):
            raise UserError(f"{key}: {file} {saved}")
        if extension not in FORMATS:
            problem = f"has the extension '{extension}'" if extension else "has no extension"
            raise UserError(
                f"{key}: {file} {problem}; it must be one of {', '.join(FORMATS)}, optionally followed by one of "
                f"{', '.join(COMPRESSIONS)}"
            )
    return files


def _saved_to_disk(folder: Path) -> str:
    """Describe how to read a folder, or a split in one, written by `save_to_disk` of `datasets`; "" if it is not."""
    top = next((path for path in (folder.parent, folder) if is_saved(path)), None)
    return f"belongs to a data set written by save_to_disk; read it with corpus=hub corpus.repo={top}" if top else ""


def _expanded(pattern: str, key: str, timeout: float) -> list[str]:
    if "://" not in pattern:
        path = str(Path(pattern).expanduser())
        is_pattern = glob.has_magic(path) and not Path(path).exists()
        return sorted(glob.glob(path, recursive=True)) if is_pattern else [pattern]  # noqa: PTH207 - `pattern` may be absolute
    if "*" not in pattern:
        return [pattern]
    from bisum.corpus.formats.readers import find_urls

    return find_urls(pattern, key, timeout)
