"""Conversion of a user's columns to text; an error names the row of the first value that does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bisum.errors import UserError, one_line, shown

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = ("document", "summary")
"""Fields of `Columns` that must be text, or lists of texts; the others can also be whole numbers."""


class Misfit(UserError):
    """A value whose type does not fit its column."""

    def __init__(
        self,
        place: str,
        row: int,
        role: str,
        name: str,
        value: object,
        fitting_row: int | None = None,
        a_list: bool = False,
    ) -> None:
        """Name the row and, if known, an earlier one whose value fits; `a_list`: values that fit are lists."""
        must = "text" if role in TEXTS else "text or a whole number"
        if a_list and not isinstance(value, list):
            must = "a list"
        if isinstance(value, dict) and value:
            must += f"; select a field with a dot, as in {name}.{next(iter(value))}"
        if isinstance(value, list) and role in TEXTS and not a_list:
            must += ", or a list in both documents and summaries"
        if fitting_row is not None and role in TEXTS:
            must += f", as in row {fitting_row}"
        super().__init__(f"{place}, row {row}: {name} is {shown(value)}; must be {must}")
        self.role = role
        self.name = name


class JsonColumn:
    """A column of JSON values, which are converted in pieces."""

    def __init__(self, role: str, name: str, place: str) -> None:
        self._role, self._name, self._place = role, name, place
        self._converted = 0
        self._fitting_row: int | None = None
        self._is_list: bool | None = None
        """Whether the values are lists; None: not known yet."""

    def convert(self, values: Sequence[Any]) -> pa.Array | pa.ChunkedArray:
        """Return the next values as an array of texts, of whole numbers, or of lists of either.

        Whole numbers mixed with texts, or of more than 64 bits, become texts. Raises `Misfit` for the first value of
        another type, and `UserError` for text that is not Unicode.
        """
        import pyarrow as pa

        first_row, self._converted = self._converted + 1, self._converted + len(values)
        if self._is_list is None:
            are_lists = [isinstance(value, list) for value in values if value is not None]
            self._is_list = sum(are_lists) * 2 > len(are_lists) if are_lists else None
        with suppress(pa.ArrowException, ValueError, OverflowError, TypeError):
            array = pa.array(values)
            if pa.types.is_null(array.type):
                return array
            if _is_plain(array.type) and pa.types.is_list(array.type) == self._is_list:
                rows = enumerate(values, start=first_row)
                self._fitting_row = self._fitting_row or next(row for row, value in rows if value is not None)
                return array
        for row, value in enumerate(values, start=first_row):
            if value is not None:
                self._check(value, row)
        try:
            return pa.array([[*map(_text, value)] if isinstance(value, list) else _text(value) for value in values])
        except pa.ArrowException as error:
            raise UserError(f"{self._place}: {self._name}: {one_line(error)}") from error

    def _check(self, value: Any, row: int) -> None:
        is_list = bool(self._is_list)
        items = value if is_list and isinstance(value, list) else [value]
        if not all(_fits(item, self._role) for item in items) or isinstance(value, list) != is_list:
            raise Misfit(self._place, row, self._role, self._name, value, self._fitting_row, is_list)
        if not all(isinstance(item, int | None) or _is_unicode(item) for item in items):
            raise UserError(
                f"{self._place}, row {row}: {self._name} contains a lone surrogate (\\ud800 to \\udfff); "
                "write the pair, or the character itself"
            )
        self._fitting_row = self._fitting_row or row


def as_text(table: pa.Table, role: str, place: str, name: str) -> pa.ChunkedArray:
    """Return a column as strings; the table's column `row` numbers its rows.

    Whole numbers, decimals without a fraction and binary values that are UTF-8 count as text; NaN is null. Raises
    `Misfit` for another type, and `UserError` for bytes that are not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    from bisum.corpus.strings import to_strings

    column = table[role]
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if column.null_count == len(column):  # of any type: pandas writes an empty column as floats
        return pa.chunked_array([pa.nulls(len(column), pa.string())])
    kind = column.type
    is_number = types.is_integer(kind) or (types.is_decimal(kind) and kind.scale == 0)
    is_bytes = _is_any(kind, "binary", "large_binary", "binary_view", "fixed_size_binary")
    if not (is_bytes or _is_any(kind, *_STRINGS) or (is_number and role not in TEXTS)):
        rows = zip(table["row"].to_pylist(), column, strict=True)
        row, value = next((row, value) for row, value in rows if value.is_valid)
        raise Misfit(place, row, role, name, value.as_py())
    try:
        text = to_strings(column)
        text.validate(full=True)  # Parquet can contain bytes that are not UTF-8
    except pa.ArrowException as error:
        for row, value in zip(table["row"].to_pylist(), column, strict=True):
            if value.is_valid and not _is_utf8(value):
                raise UserError(f"{place}, row {row}: {name} is not UTF-8; save the file again in UTF-8") from error
        raise UserError(f"{place}: {name}: {one_line(error)}") from error
    return text


_STRINGS = ("string", "large_string", "string_view", "null")


def _is_any(kind: pa.DataType, *names: str) -> bool:
    from pyarrow import types

    return any(getattr(types, f"is_{name}")(kind) for name in names)


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether pyarrow inferred texts, whole numbers, or lists of either."""
    from pyarrow import types

    return _is_any(kind, "string", "int64", "null") or (types.is_list(kind) and _is_plain(kind.value_type))


def _fits(value: object, role: str) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value is None or isinstance(value, str) or (is_number and role not in TEXTS)


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_utf8(value: pa.Scalar) -> bool:
    try:
        value.as_buffer().to_pybytes().decode()
    except UnicodeDecodeError:
        return False
    return True
