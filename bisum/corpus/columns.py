"""Conversion of a user's tables to bisum's columns: found by name, as text, with one row per summary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from bisum.corpus.blank import is_blank
from bisum.corpus.values import TEXTS, as_text
from bisum.errors import UserError, nearest
from bisum.interfaces.source import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

ColumnPath = tuple[str, ...]
"""Path to a value in a row: the name of a column, then the names of fields inside it."""

Pick = Callable[[Mapping[str, ColumnPath]], Mapping[str, ColumnPath]]
"""Function from a table's columns by dotted name to the one chosen for each field of `Columns`."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of a corpus's columns. From a list, the first name that exists is used.

    A dot selects a field of a nested column (`article.document`); case is ignored.
    """

    document: str | list[str]
    """The text to summarize."""

    summary: str | list[str]
    """Its summary."""

    id: str | list[str] | None
    """Identifier of the row, unique within its split (null: the row's number)."""

    language: str | list[str] | None
    """The code of the row's language (null: `corpus.language`, or the language of the file or configuration)."""

    category: str | list[str] | None
    """Category of the row, used by `filter.books` and the row counts (null: none)."""

    group: str | list[str] | None
    """Group of the row, such as its translations; bisum keeps a group in one split (null: each row alone)."""

    def find(
        self, names: Mapping[str, ColumnPath], place: str, required: Collection[str] = TEXTS
    ) -> dict[str, ColumnPath]:
        """Return the column for each field that has one. Raises `UserError`, naming `place` and all missing columns."""
        by_casefold: dict[str, list[str]] = {}
        for name in names:
            by_casefold.setdefault(name.casefold(), []).append(name)
        found: dict[str, ColumnPath] = {}
        missing: dict[str, str] = {}
        for role in (field.name for field in fields(self)):
            given: str | list[str] | None = getattr(self, role)
            choices = [given] if isinstance(given, str) else given or []
            matches = next(
                filter(None, ([name] if name in names else by_casefold.get(name.casefold()) for name in choices)), []
            )
            if len(matches) == 1:
                found[role] = names[matches[0]]
            elif matches:
                missing[role] = f"{' and '.join(matches)}; name one of them"
            elif isinstance(given, str):
                missing[role] = f"no column '{given}'{nearest(given, names)}"
            elif role in required:
                missing[role] = f"none of {', '.join(choices)}; name the column to use"
        if missing:
            (first, problem), *others = missing.items()
            more = "".join(f"; corpus.columns.{role}: {problem}" for role, problem in others)
            raise UserError(f"corpus.columns.{first}: {place} has {problem} {_listed(names)}{more}")
        return found

    def may_leave_out(self, role: str) -> bool:
        """Return whether a field's column can be left out: it is optional and chosen from a list of names."""
        return role in ("language", "category") and isinstance(getattr(self, role), list)

    def guesses(self, found: Mapping[str, ColumnPath]) -> str:
        """Describe the columns chosen from lists of names; "" if all have bisum's own names."""
        chosen = {
            role: ".".join(found[role]) for role in COLUMNS if role in found and isinstance(getattr(self, role), list)
        }
        return ", ".join(f"{role} is '{name}'" for role, name in chosen.items() if name != role)


def nested_paths(schema: pa.Schema) -> list[ColumnPath]:
    """Return the paths to the columns of a schema and to the fields inside them."""
    import pyarrow as pa

    def walk(field: pa.Field, outer: ColumnPath) -> Iterator[ColumnPath]:
        path, kind = (*outer, field.name), field.type
        yield path
        kind = kind.value_type if _is_list(kind) else kind
        for inner in kind if pa.types.is_struct(kind) else ():
            yield from walk(inner, path)

    return [path for field in schema for path in walk(field, ())]


def pick_once(paths: Sequence[ColumnPath], pick: Pick, place: str, what: str) -> Mapping[str, ColumnPath]:
    """Pick paths by their dotted names. Raises `UserError` if `what` (the header) contains a picked one twice."""
    picked = pick({".".join(path): path for path in paths})
    for path in picked.values():
        for outer in (path[:depth] for depth in range(1, len(path) + 1)):
            if paths.count(outer) > 1:
                raise UserError(f"{place}: the {what} contains '{'.'.join(outer)}' twice; it must occur once")
    return picked


def pick_columns(table: pa.Table, paths: Mapping[str, ColumnPath]) -> pa.Table:
    """Return a table with the column at each path, named by the path's key; lists of objects become lists of values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def inner(array: pa.Array, name: str) -> pa.Array:
        if _is_list(array.type):
            return pa.ListArray.from_arrays(array.offsets.cast(pa.int32()), pc.struct_field(array.values, name))
        return pc.struct_field(array, name)

    def column(path: ColumnPath) -> pa.ChunkedArray:
        chunks = table[path[0]].chunks
        for name in path[1:]:
            chunks = [inner(chunk, name) for chunk in chunks]
        return pa.chunked_array(chunks) if chunks else pa.chunked_array([], pa.string())

    return pa.table({key: column(path) for key, path in paths.items()})


def text_rows(tables: Iterable[pa.Table], place: str, paths: Mapping[str, ColumnPath]) -> pa.Table:
    """Return one table of `Columns`' fields as strings (null if missing), with `place`, `row` and `part`.

    If documents and summaries are lists of equal lengths, each pair becomes a row, with `part` 1, 2, ... of `row`
    (otherwise null). Raises `UserError` for a value that is not text, or if there are no rows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from bisum.corpus.disk import stored

    schema = pa.schema(
        {
            **{name: pa.string() for name in (*(field.name for field in fields(Columns)), "place")},
            "row": pa.int64(),
            "part": pa.int64(),
        }
    )
    rows = stored(_text_batches(tables, place, paths, schema), schema)
    if not rows.num_rows:
        raise UserError(f"{place}: has no rows; at least one is required")
    for at, role in enumerate(rows.column_names):
        if role in ("id", "language") and pc.all(is_blank(rows[role])).as_py():  # CSV has no other null
            rows = rows.set_column(at, role, pa.nulls(rows.num_rows, pa.string()))
    return rows


def _text_batches(
    tables: Iterable[pa.Table], place: str, paths: Mapping[str, ColumnPath], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `text_rows`, in which blank ids and languages are still texts."""
    before = 0
    for table in tables:
        if table.num_rows:
            yield from _text_table(table, place, paths, before).cast(schema).to_batches()
        before += table.num_rows


def _text_table(table: pa.Table, place: str, paths: Mapping[str, ColumnPath], before: int) -> pa.Table:
    """Return rows of which `before` others precede them in the file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = {role: ".".join(path) for role, path in paths.items()}
    table = table.append_column("row", pa.array(range(before + 1, before + table.num_rows + 1), pa.int64()))
    lists = [role for role in names if _is_list(table[role].type)]
    if {"document", "summary"} <= set(lists):
        table = pa.concat_tables([_exploded(batch, lists, place, names) for batch in table.to_batches()] or [table])
    columns = {role: as_text(table, role, place, name) for role, name in names.items()}
    empty = pa.nulls(table.num_rows, pa.string())
    texts = {field.name: columns.get(field.name, empty) for field in fields(Columns)}
    for role in ("category", "group"):
        texts[role] = pc.if_else(is_blank(texts[role]), None, texts[role])
    part = table["part"] if "part" in table.column_names else pa.nulls(table.num_rows, pa.int64())
    return pa.table({**texts, "place": pa.repeat(place, table.num_rows), "row": table["row"], "part": part})


def _exploded(batch: pa.RecordBatch, lists: Sequence[str], place: str, names: Mapping[str, str]) -> pa.Table:
    """Turn each element of the parallel `lists` into a row."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = {role: pc.fill_null(pc.list_value_length(batch[role]), 0).to_numpy() for role in lists}
    length = lengths["document"]
    for role in lists:
        uneven = np.flatnonzero(lengths[role] != length)
        if len(uneven):
            i = int(uneven[0])
            raise UserError(
                f"{place}, row {batch['row'][i]}: {names['document']} has {length[i]} parts but {names[role]} has "
                f"{lengths[role][i]}; the numbers must be equal"
            )
    parents = np.repeat(np.arange(len(length)), length)
    part = np.arange(len(parents)) - np.repeat(np.cumsum(length) - length, length) + 1
    columns = {
        name: pc.list_flatten(column) if name in lists else column.take(pa.array(parents))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return pa.table({**columns, "part": pa.array(part, pa.int64())})


def _is_list(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind))


def _listed(names: Mapping[str, ColumnPath]) -> str:
    first = ", ".join(name if len(name) <= 40 else f"{name[:37]}..." for name in list(names)[:20])
    return f"(columns: {first or 'none'}{', ...' if len(names) > 20 else ''})"
