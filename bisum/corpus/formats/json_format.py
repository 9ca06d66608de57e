"""Readers of JSON lines and JSON; an error names the bad row, counted from 1."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import IO, Any

import pyarrow as pa

from bisum.corpus.columns import ColumnPath, Pick
from bisum.corpus.disk import READ_ROWS
from bisum.corpus.formats.decoding import decoded, every_line
from bisum.corpus.values import JsonColumn
from bisum.errors import UserError, shown

logger = logging.getLogger(__package__)

_HEAD_ROWS = 1000
"""Number of objects whose keys become the columns of a file; keys that first occur later are ignored."""


def read_json_lines(file: IO[bytes], url: str, pick: Pick) -> Iterator[pa.Table]:
    """Read one JSON object per line."""
    return _from_objects(_json_lines(file, url), url, pick)


def _json_lines(file: IO[bytes], url: str) -> Iterator[Any]:
    """Yield the value of each non-blank line; every CR ends a line, since no JSON string contains one."""
    row = 0
    for number, line in enumerate(every_line(file, url), start=1):
        if not line.strip():
            continue
        text = line.strip(" \t\r\n")
        row += 1
        place = f"{url}, row {row}" if row == number else f"{url}, row {row} (line {number})"
        try:
            yield _parse(text)
        except json.JSONDecodeError as error:
            at = line.index(text) + error.pos + 1
            raise UserError(
                f"{place}: invalid JSON ({error.msg}, character {at}); each line must be one JSON object"
            ) from error
        except _RepeatedKey as error:
            raise UserError(f"{place}: the key '{error}' occurs twice; it must occur once") from error
        except (ValueError, RecursionError) as error:  # a number with thousands of digits, or a thousand brackets
            raise UserError(f"{place}: Python cannot parse this JSON ({error})") from error


def read_json(file: IO[bytes], url: str, pick: Pick) -> Iterator[pa.Table]:
    """Read an array of objects, an object that contains one, or JSON lines. The whole file is parsed at once."""
    content = file.read()
    text = decoded(content, url)
    try:
        value = _parse(text)
    except _RepeatedKey as error:
        raise UserError(f"{url}: the key '{error}' occurs twice in an object; it must occur once") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" or not text.strip():
            return read_json_lines(io.BytesIO(content), url, pick)
        raise UserError(f"{url}, line {error.lineno}: invalid JSON ({error.msg}, character {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{url}: Python cannot parse this JSON ({error})") from error
    if isinstance(value, dict):
        inside = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
        if len(inside) > 1:
            raise UserError(
                f"{url}: the object contains {len(inside)} arrays of objects; it must contain one, the rows"
            )
        if not inside and len(value) > 1 and all(isinstance(item, dict) and "0" in item for item in value.values()):
            raise UserError(f"{url}: contains columns, as DataFrame.to_json() writes them; use orient='records'")
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


def _constant(name: str) -> float | None:
    """Return the value of NaN (None, since pandas writes it for a missing value) or Infinity; JSON lacks both."""
    return None if name == "NaN" else float(name)


_parse = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_constant).decode


def _from_objects(rows: Iterator[Any], url: str, pick: Pick) -> Iterator[pa.Table]:
    """Build tables from JSON objects."""
    checked = (_object(value, number, url) for number, value in enumerate(rows, start=1))
    head = list(islice(checked, _HEAD_ROWS))
    if not head:
        raise UserError(f"{url}: has no rows; at least one is required")
    paths = pick({".".join(path): path for row in head for path in _paths(row)})
    columns = {role: JsonColumn(role, ".".join(path), url) for role, path in paths.items()}
    known = {key for row in head for key in row}
    late: dict[str, int] = {}
    rest, read = chain(head, checked), 0
    while part := list(islice(rest, READ_ROWS)):
        for number, row in enumerate(part, start=read + 1):
            for key in row.keys() - known:
                late.setdefault(key, number)
        yield pa.table(
            {
                role: columns[role].convert([row.get(path[0]) if len(path) == 1 else _inner(row, path) for row in part])
                for role, path in paths.items()
            }
        )
        read += len(part)
    if late:
        first = ", ".join(f"'{key}' (row {number:,})" for key, number in list(late.items())[:5])
        logger.info("%s: keys that first occur after %s rows are not read: %s", url, f"{_HEAD_ROWS:,}", first)


def _object(value: Any, row: int, url: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{url}, row {row}: {shown(value)} is not a JSON object; each row must be one")
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
