"""A cache of an experiment's rows, so that the files of a large corpus are read once."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from bisum.corpus.arrow_cache import ArrowCache
from bisum.corpus.disk import batches_of
from bisum.errors import UserError
from bisum.interfaces.filter import Filter
from bisum.interfaces.source import SPLITS, Source

SMALLEST_BYTES = 2**23
"""Smallest size of a corpus to cache, in bytes of text before filters and samples; reading a smaller one is as fast."""
_METADATA = b"bisum"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+>", re.IGNORECASE)
"""The end of Python's `repr` of an object whose class defines none, which differs in each process."""

_logger = logging.getLogger(__package__)

Tables = Mapping[str, pa.Table]
"""The rows of each split."""
Contents = tuple[dict[str, pa.Table], dict[str, Any]]
"""The rows of each split, and what else is known about them, as JSON."""


class RowCache:
    """The cached rows of a source under some settings, which `seed` affects only if training rows are sampled."""

    def __init__(
        self, folder: Path, source: Source, filters: Mapping[str, Filter], languages: Sequence[str], seed: int
    ) -> None:
        """Rows are not cached if the source cannot identify them, or if code of a user's own could select others.

        Raises:
            UserError: the folder cannot be created.
        """
        self._files = ArrowCache(folder, "rows")
        self._source, self._languages = source, languages
        is_known = _identifies(source) and all(_is_own(type(one)) for one in filters.values())
        self._identity = self._identify() if is_known else None
        settings = {name: repr(one) for name, one in filters.items()}
        sampled = None if source.max_train_rows is None else seed
        has_notes = _logger.isEnabledFor(logging.INFO)
        parts = [_code(), repr(source), settings, [*languages], sampled, has_notes, self._identity]
        self._key = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]

    def read(self) -> Contents | None:
        """Return what was written, after logging again what was logged while it was read; None if there is nothing."""
        table = None if self._identity is None else self._files.read(self._key)
        if table is None:
            return None
        splits, known = _contents(table)
        for name, level, message in known.pop("notes"):
            logging.getLogger(name).log(level, "%s", message)
        return splits, known

    def write(self, read: Callable[[], Tables], select: Callable[[Tables], Contents]) -> Contents:
        """Return what `select` selects from the rows that `read` reads.

        The contents are written, and returned from there, if the corpus is large and the source stayed the same. A
        folder that cannot be written is only reported.
        """
        with _recorded() as notes:
            loaded = read()
            size = sum(rows.nbytes for rows in loaded.values())
            splits, known = select(loaded)
        del loaded  # frees the disk of large tables
        if self._identity is None or size < SMALLEST_BYTES or self._identify() != self._identity:
            return splits, known
        ordered = {split: splits[split] for split in SPLITS if split in splits}
        rows = {split: table.num_rows for split, table in ordered.items()}
        metadata = {_METADATA: json.dumps({**known, "notes": notes, "rows": rows})}
        schema = next(iter(ordered.values())).schema.with_metadata(metadata)
        batches = (batch for table in ordered.values() for batch in batches_of(table))
        try:
            return _contents(self._files.write(self._key, schema, batches))
        except UserError as error:
            _logger.warning("%s; the next run reads the corpus again", error)
            return splits, known

    def _identify(self) -> Any:
        return self._source.identity(self._languages)  # type: ignore[attr-defined] # `_identifies` has found it


def _contents(table: pa.Table) -> Contents:
    """Return the contents of a file."""
    known = json.loads(table.schema.metadata[_METADATA])
    splits, at = {}, 0
    for split, rows in known.pop("rows").items():
        splits[split] = table.slice(at, rows).replace_schema_metadata()
        at += rows
    return splits, known


def _is_own(class_: type) -> bool:
    return class_.__module__.startswith("bisum.")


def _identifies(source: Source) -> bool:
    """Return whether `identity` describes the rows of a source, and `repr` its settings.

    An inherited `identity` is unaware of what a user's own subclass does to the rows.
    """
    for class_ in type(source).__mro__:
        if "identity" in vars(class_):
            return _ADDRESS.search(repr(source)) is None
        if not _is_own(class_):
            return False
    return False


class _Notes(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.notes.append((record.name, record.levelno, record.getMessage()))


@contextmanager
def _recorded() -> Iterator[list[tuple[str, int, str]]]:
    """Collect what the package logs during the block."""
    handler = _Notes()
    _logger.addHandler(handler)
    try:
        yield handler.notes
    finally:
        _logger.removeHandler(handler)


@cache
def _code() -> str:
    """Return a digest of the code that reads and selects rows."""
    digest = hashlib.sha256(pa.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
