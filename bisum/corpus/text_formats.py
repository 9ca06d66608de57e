"""Readers of text formats (CSV, TSV, JSON lines and JSON), which tell what is wrong with a bad row.

Rows are counted from 1, without a header and blank lines; lines are numbered as in an editor.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Any

import pyarrow as pa

from bisum.corpus.columns import ColumnPath, Pick
from bisum.errors import UserError, one_line, shown

_HEAD_ROWS = 1000
"""Number of objects whose keys become the columns of a JSON file; keys that first occur later are ignored."""


def text_lines(file: Iterable[bytes], url: str) -> Iterator[str]:
    """Yield a file's lines with their line ends; raises UserError for a line that is not UTF-8."""
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{url}, line {number}: not UTF-8 (byte {error.start + 1} of the line); convert the file to UTF-8"
            ) from error


def read_csv(file: IO[bytes], url: str, pick: Pick, separators: str = ",;|\t") -> pa.Table:
    """Read a file whose first row names the columns; the separator is the most frequent one in the first line."""
    csv.field_size_limit(sys.maxsize)
    lines = text_lines(file, url)
    blank, first = next(((number, line) for number, line in enumerate(lines) if line.strip()), (0, ""))
    if not first:
        raise UserError(f"{url}: no rows; must have at least one")
    separator = max(separators, key=first.count)
    rows = csv.reader(chain([first], lines), delimiter=separator, strict=True)
    row = 0
    try:
        names = [name.strip() for name in next(rows, [])]
        if not any(names):
            raise UserError(f"{url}: a blank header; the first line must name the columns")
        if repeated := sorted({name for name in names if name and names.count(name) > 1}):
            raise UserError(f"{url}: the header names '{repeated[0]}' twice; must be once")
        paths = pick({name: (name,) for name in names if name})
        indices = [names.index(name) for (name,) in paths.values()]
        columns: list[list[str]] = [[] for _ in indices]
        for row, values in enumerate(filter(None, rows), start=1):
            if len(values) != len(names):
                must = f"must have {len(names)} values, as the header, not {len(values)}; put a value that holds"
                raise UserError(
                    f"{url}, row {row} (line {blank + rows.line_num}): {must} {shown(separator)} "
                    "or a line break in double quotes"
                )
            for column, index in zip(columns, indices, strict=True):
                column.append(values[index])
    except csv.Error as error:
        raise UserError(
            f"{url}, row {row + 1} (up to line {blank + rows.line_num}): {error}; "
            'a value that begins with " must end with one, and those inside it must be doubled'
        ) from error
    return pa.table({role: pa.array(column, pa.string()) for role, column in zip(paths, columns, strict=True)})


def read_tsv(file: IO[bytes], url: str, pick: Pick) -> pa.Table:
    """Read a file of tab-separated values."""
    return read_csv(file, url, pick, "\t")


def read_json_lines(file: IO[bytes], url: str, pick: Pick) -> pa.Table:
    """Read one JSON object per line."""
    return _from_objects(_json_lines(file, url), url, pick)


def _json_lines(file: Iterable[bytes], url: str) -> Iterator[Any]:
    for row, line in enumerate(filter(str.strip, text_lines(file, url)), start=1):
        try:
            yield _parse(line)
        except json.JSONDecodeError as error:
            raise UserError(
                f"{url}, row {row}: broken JSON ({error.msg}, character {error.colno}); must be one JSON object a line"
            ) from error
        except _RepeatedKey as error:
            raise UserError(f"{url}, row {row}: the key '{error}' occurs twice; must be once") from error


def read_json(file: IO[bytes], url: str, pick: Pick) -> pa.Table:
    """Read an array of objects, an object that holds one, or JSON lines."""
    content = file.read()
    try:
        value = _parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        list(text_lines(io.BytesIO(content), url))
        raise
    except _RepeatedKey as error:
        raise UserError(f"{url}: the key '{error}' occurs twice in an object; must be once") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" or not content.strip():
            return read_json_lines(io.BytesIO(content), url, pick)
        raise UserError(f"{url}, line {error.lineno}: broken JSON ({error.msg}, character {error.colno})") from error
    if isinstance(value, dict):
        inside = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
        if len(inside) > 1:
            raise UserError(
                f"{url}: an object with {len(inside)} arrays of objects; must be one, whose objects are rows"
            )
        value = inside[0] if inside else [value]
    return _from_objects(iter(value if isinstance(value, list) else [value]), url, pick)


class _RepeatedKey(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(next(key for key in keys if keys.count(key) > 1))
    return row


_parse = json.JSONDecoder(object_pairs_hook=_once).decode


def _from_objects(rows: Iterator[Any], url: str, pick: Pick) -> pa.Table:
    """Build a table from JSON objects."""
    checked = (_object(value, number, url) for number, value in enumerate(rows, start=1))
    head = list(islice(checked, _HEAD_ROWS))
    if not head:
        raise UserError(f"{url}: no rows; must have at least one")
    paths = pick({".".join(path): path for row in head for path in _paths(row)})
    columns: list[list[Any]] = [[] for _ in paths]
    for row in chain(head, checked):
        for column, path in zip(columns, paths.values(), strict=True):
            column.append(row.get(path[0]) if len(path) == 1 else _inner(row, path))
    names = [".".join(path) for path in paths.values()]
    return pa.table({role: _array(column, name, url) for role, name, column in zip(paths, names, columns, strict=True)})


def _object(value: Any, row: int, url: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{url}, row {row}: {shown(value)} in place of a JSON object; must be one object a row")
    return value


def _paths(row: Mapping[str, Any], outer: ColumnPath = ()) -> Iterator[ColumnPath]:
    for key, value in row.items():
        yield (*outer, key)
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            yield from _paths(inner, (*outer, key))


def _inner(value: Any, path: ColumnPath) -> Any:
    if isinstance(value, list):
        return [_inner(item, path) for item in value]
    for i, name in enumerate(path):
        if isinstance(value, list):
            return _inner(value, path[i:])
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _array(values: Sequence[Any], name: str, url: str) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
        kind = next(type(value) for value in values if value is not None)
        for row, value in enumerate(values, start=1):
            if value is not None and type(value) is not kind:
                must = "text" if kind is str else "of the same type"
                raise UserError(f"{url}, row {row}: {name} is {shown(value)}; must be {must}, as in row 1") from error
            if kind is str and value is not None and not _is_unicode(value):
                raise UserError(
                    f"{url}, row {row}: {name} has an escape \\ud800 to \\udfff without its other half; "
                    "must be a pair, or the character itself"
                ) from error
        raise UserError(f"{url}: {name}: {one_line(error)}") from error


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
