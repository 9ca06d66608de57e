"""Documents from the rows of tables: CSV, TSV, Parquet and JSON files, with the column names of `corpus=files`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial

from bisum.config.schema import SummarizeConfig
from bisum.corpus.columns import ColumnPath, Columns
from bisum.corpus.files import Files
from bisum.corpus.row_reader import RowReader
from bisum.corpus.tables import Tables
from bisum.errors import UserError
from bisum.interfaces.defaults import ConfDefault
from bisum.summarize.document import Document

_COMMON = ConfDefault("corpus/_base_tables", "columns", Columns)
_QUOTING = ConfDefault("corpus/files", "quoting")
_TABLES = (".csv", ".tsv", ".parquet")


class ColumnNames:
    """Column names of an input: those of the configuration's corpus if it reads tables, otherwise the common ones."""

    def __init__(self, config: SummarizeConfig) -> None:
        self._common: Columns = _COMMON()
        self.columns = config.corpus.columns if isinstance(config.corpus, Tables) else self._common
        self.has_settings = isinstance(config.corpus, Files)
        """Whether `corpus.columns` and `corpus.quoting` are keys of the configuration."""
        self.quoting = config.corpus.quoting if isinstance(config.corpus, Files) else _QUOTING()
        keys = {argument.lstrip("+").partition("=")[0] for argument in config.provenance.overrides}
        named = {role.name for role in fields(Columns) if f"corpus.columns.{role.name}" in keys}
        self._must_exist = named if "corpus.columns" not in keys else {role.name for role in fields(Columns)}

    def find(self, names: Mapping[str, ColumnPath], place: str, required: Collection[str]) -> dict[str, ColumnPath]:
        """Return the column of each role that has one.

        A name from the command line must exist. If the input lacks a name from a run's corpus, the common ones apply.
        """
        known = {name.casefold() for name in names}
        common = {}
        for role in (field.name for field in fields(Columns)):
            given: str | list[str] | None = getattr(self.columns, role)
            choices = [given] if isinstance(given, str) else given or []
            if role not in self._must_exist and not known & {name.casefold() for name in choices}:
                common[role] = getattr(self._common, role)
        return replace(self.columns, **common).find(names, place, required)


def is_table(file: str) -> bool:
    """Return whether a file is a table, not text or JSON lines, by its extension or, for .json, its first line."""
    from bisum.corpus.formats.decoding import text_lines
    from bisum.corpus.formats.readers import open_file, split_extension

    extension = split_extension(file)[1]
    if extension != ".json":
        return extension in _TABLES
    with open_file(file, "files") as stream:
        first = next(filter(str.strip, text_lines(stream, file)), "{}")
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):  # an array or object of several lines, or an invalid line
        return first.strip() in ("[", "{") or first.lstrip().startswith("[")
    contains_rows = isinstance(value, dict) and any(
        isinstance(item, list) and item and isinstance(item[0], dict) for item in value.values()
    )
    return not isinstance(value, dict) or contains_rows


def table_documents(file: str, names: ColumnNames) -> Iterator[Document]:
    """Yield the documents of a table's rows, which are read in one go. Raises `UserError` like `read_file`."""
    from bisum.corpus.formats.readers import read_file

    reader = RowReader(names.columns, lambda columns, place: names.find(columns, place, ("document",)))
    try:
        table = reader.read(file, partial(read_file, file, key="files", quoting=names.quoting))
    except UserError as error:
        if names.has_settings or "corpus." not in str(error):
            raise
        raise UserError(f"{error}; these keys require corpus=files corpus.path={file}") from error
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch.to_pylist():
            part = "" if row["part"] is None else f"-{row['part']}"
            yield Document(
                text=(row["document"] or "").strip(),
                language=row["language"] or None,
                id=row["id"] or f"{file}:{row['row']}{part}",
                reference=row["summary"] or None,
                others={} if row["category"] is None else {"category": row["category"]},
                place=f"{file}, row {row['row']}",
            )
