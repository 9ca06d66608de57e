"""Conversion of a user's tables to bisum's columns: found by name, as text, with one row for each summary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from bisum.errors import UserError, nearest, shown
from bisum.interfaces.source import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

ColumnPath = tuple[str, ...]
"""Path to a value in a row: the name of a column, then the names of fields inside it."""

Pick = Callable[[Mapping[str, ColumnPath]], Mapping[str, ColumnPath]]
"""Function that takes a table's columns by dotted name, and returns the one chosen for each field of `Columns`."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of a corpus' columns. If a list is given, the first name that exists is used.

    A dot leads into a nested column (`article.document`); case is ignored.
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
    """Group of the row. When bisum splits, a group, such as translations, stays together (null: each row alone)."""

    def find(
        self, names: Mapping[str, ColumnPath], place: str, required: Collection[str] = ("document", "summary")
    ) -> dict[str, ColumnPath]:
        """Return the column for each field that has one. Raises `UserError`, naming `place`, if one is missing."""
        by_name = {name.casefold(): path for name, path in names.items()} | dict(names)
        found = {}
        for role in (field.name for field in fields(self)):
            wanted: str | list[str] | None = getattr(self, role)
            choices = [wanted] if isinstance(wanted, str) else wanted or []
            path = next((by_name[key] for name in choices for key in (name, name.casefold()) if key in by_name), None)
            if path is not None:
                found[role] = path
            elif isinstance(wanted, str):
                close = nearest(wanted, names)
                raise UserError(f"corpus.columns.{role}: {place} has no column '{wanted}'{close} {_listed(names)}")
            elif role in required:
                raise UserError(
                    f"corpus.columns.{role}: {place} has none of {', '.join(choices)}; name its column {_listed(names)}"
                )
        return found

    def guesses(self, found: Mapping[str, ColumnPath]) -> str:
        """Describe which columns were chosen among several names; "" if all have bisum's own names."""
        chosen = {
            role: ".".join(found[role]) for role in COLUMNS if role in found and isinstance(getattr(self, role), list)
        }
        return ", ".join(f"{role} is '{name}'" for role, name in chosen.items() if name != role)


def nested_names(schema: pa.Schema) -> dict[str, ColumnPath]:
    """Return the columns of a schema and the fields inside them by dotted name."""
    import pyarrow as pa

    def walk(field: pa.Field, outer: ColumnPath) -> Iterator[ColumnPath]:
        path, kind = (*outer, field.name), field.type
        yield path
        kind = kind.value_type if _is_list(kind) else kind
        for inner in kind if pa.types.is_struct(kind) else ():
            yield from walk(inner, path)

    return {".".join(path): path for field in schema for path in walk(field, ())}


def pick_columns(table: pa.Table, paths: Mapping[str, ColumnPath]) -> pa.Table:
    """Return a table with the column at each path, named by the path's key; lists of objects give lists of values."""
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


def text_rows(table: pa.Table, place: str, paths: Mapping[str, ColumnPath]) -> pa.Table:
    """Return a table of `Columns`' fields as strings (null where there is none), with `place`, `row` and `part`.

    If documents and summaries are lists of equal lengths, each pair becomes a row, with `part` 1, 2, ... of `row`
    (otherwise null). Raises `UserError` for a value that is not text, and if there are no rows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = {role: ".".join(path) for role, path in paths.items()}
    table = table.append_column("row", pa.array(range(1, table.num_rows + 1), pa.int64()))
    lists = [role for role in names if _is_list(table[role].type)]
    if {"document", "summary"} <= set(lists):
        table = pa.concat_tables([_exploded(batch, lists, place, names) for batch in table.to_batches()] or [table])
    if not table.num_rows:
        raise UserError(f"{place}: no rows; must have at least one")
    columns = {role: _as_text(table, role, place, name) for role, name in names.items()}
    empty = pa.nulls(table.num_rows, pa.string())
    texts = {field.name: columns.get(field.name, empty) for field in fields(Columns)}
    for role in ("category", "group"):  # CSV cannot express null otherwise
        texts[role] = pc.if_else(pc.equal(texts[role], ""), None, texts[role])
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
                f"{place}, row {batch['row'][i]}: {names['document']} has {length[i]} parts and {names[role]} "
                f"{lengths[role][i]}; must be as many"
            )
    parents = np.repeat(np.arange(len(length)), length)
    part = np.arange(len(parents)) - np.repeat(np.cumsum(length) - length, length) + 1
    columns = {
        name: pc.list_flatten(column) if name in lists else column.take(pa.array(parents))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return pa.table({**columns, "part": pa.array(part, pa.int64())})


def _as_text(table: pa.Table, role: str, place: str, name: str) -> pa.ChunkedArray:
    import pyarrow as pa
    from pyarrow import types

    column = table[role]
    if column.null_count == len(column):  # of any type, since pandas writes an empty column as floats
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, texts_only = column.type, role in ("document", "summary")
    strings = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind)
    if not strings and not (types.is_integer(kind) and not texts_only):
        row, value = next(
            (row, value) for row, value in zip(table["row"].to_pylist(), column, strict=True) if value.is_valid
        )
        must = "text" if texts_only else "text or a whole number"
        if types.is_struct(kind):
            must += f"; a dot leads to a field inside it, as in {name}.{kind[0].name}"
        if _is_list(kind):
            must += ", or a list in documents and summaries alike"
        raise UserError(f"{place}, row {row}: {name} is {shown(value.as_py())}; must be {must}")
    text = column.cast(pa.string())
    try:
        text.validate(full=True)  # Parquet may hold bytes that are not UTF-8
    except pa.ArrowException as error:
        values = zip(table["row"].to_pylist(), text.cast(pa.binary()).to_pylist(), strict=True)
        row = next(row for row, value in values if "\ufffd" in (value or b"").decode(errors="replace"))
        raise UserError(f"{place}, row {row}: {name} is not UTF-8; write the file anew, in UTF-8") from error
    return text


def _is_list(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind))


def _listed(names: Mapping[str, ColumnPath]) -> str:
    first = ", ".join(name if len(name) <= 40 else f"{name[:37]}..." for name in list(names)[:20])
    return f"(columns: {first or 'none'}{', ...' if len(names) > 20 else ''})"
