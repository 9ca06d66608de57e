"""Numbers, `true` and `false` on a command line, with their typed text.

Hydra's grammar reads `1_004` as 1004, `1e05233` as infinity and `2024_11` as 202411. For keys that require text, bisum
uses the typed text. Both are kept until the schema is known, since it depends on the classes in `_target_` nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hydra.core.override_parser.overrides_visitor import HydraOverrideVisitor
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.grammar.gen.OverrideLexer import CommonTokenStream, InputStream, OverrideLexer  # type: ignore[attr-defined]
from hydra.grammar.gen.OverrideParser import OverrideParser

Path = tuple[str | int | None, ...]
"""The keys and indices of a part of a configuration; None denotes the keys of a mapping."""

TakesText = Callable[[Path, "Number"], bool]
"""Whether the schema requires text for a number at a path."""


class Typed(QuotedString):
    """Text that looks like a number, `true` or `false`; shown as typed, without quotes."""

    def __init__(self, text: str) -> None:
        super().__init__(text, Quote.single)

    def __hash__(self) -> int:  # needed for keys of a mapping
        return hash(self.text)

    def with_quotes(self) -> str:
        """Return the text."""
        return self.text


class _Quoted(Typed):
    """Text that looks like a number, `true` or `false`, in quotes for Hydra."""

    def with_quotes(self) -> str:
        """Return the text in quotes."""
        return QuotedString(self.text, Quote.single).with_quotes()


class Number(Typed):
    """A number, `true` or `false`, with its typed text, until the schema decides between the two."""

    def __init__(self, text: str, value: Any) -> None:
        super().__init__(text)
        self.value = value

    def with_quotes(self) -> str:
        """Return the value in Hydra's format."""
        return str(self.value)


class _Visitor(HydraOverrideVisitor):
    """Reads a number, `true` or `false` as a `Number`, except in the arguments of a function."""

    def visitPrimitive(self, ctx: Any) -> Any:  # noqa: N802
        return _with_text(super().visitPrimitive(ctx), ctx)

    def visitDictKey(self, ctx: Any) -> Any:  # noqa: N802
        return _with_text(super().visitDictKey(ctx), ctx)

    def visitFunction(self, ctx: Any) -> Any:  # noqa: N802
        name, elements = ctx.getChild(0).getText(), ctx.element()
        if name in ("shuffle", "tag") and any(element.function() for element in elements):
            return super().visitFunction(ctx)
        value = HydraOverrideVisitor(self.functions).visitFunction(ctx)
        if name == "choice" and isinstance(value, ChoiceSweep) and len(value.list) == len(elements):
            # Hydra passes quoted elements to functions as plain text.
            values = [item.text if type(item) is QuotedString else item for item in map(self.visitElement, elements)]
            return replace(value, list=values)
        return value


def _with_text(value: Any, ctx: Any) -> Any:
    return Number(ctx.getText().strip(" \t"), value) if type(value) in (int, float, bool) else value


def with_numbers(override: Override, functions: Any) -> Override:
    """Return an override, parsed by Hydra, with each number as a `Number`."""
    lexer = OverrideLexer(InputStream(override.input_line))
    read = _Visitor(functions).visit(OverrideParser(CommonTokenStream(lexer)).override())  # type: ignore[no-untyped-call]
    return replace(override, _value=read._value)


def settled(override: Override, takes_text: TakesText) -> Override:
    """Return an override with each `Number` replaced by its text if `takes_text` is true for it, or by its value."""

    def chosen(item: Any, path: Path) -> Any:
        if not isinstance(item, Number):
            return item
        return Typed(item.text) if takes_text(path, item) else item.value

    return _mapped(override, chosen)


def valued(override: Override) -> Override:
    """Return an override with each `Number` replaced by its value, as Hydra reads it."""
    return settled(override, lambda *_: False)


def has_numbers(override: Override) -> bool:
    """Return whether an override contains a `Number`."""
    return Number in _item_types(override)


def argument_for_hydra(override: Override) -> str:
    """Return a settled override as an argument for Hydra, with quotes around text that looks like a number."""
    if Typed not in _item_types(override):
        return typed(override)
    quoted = _mapped(override, lambda item, _: _Quoted(item.text) if isinstance(item, Typed) else item)
    return f"{quoted.get_key_element()}={_written(quoted)}"


def typed(override: Override) -> str:
    """Return an override as typed, or in Hydra's format if a sweep created it."""
    if override.input_line is not None:
        return override.input_line
    key = override.get_key_element()
    return key if override.value_type is None else f"{key}={override.get_value_element_as_str()}"


def _written(override: Override) -> str:
    """Return the part of an argument after the equals sign, with shuffled sweeps already shuffled."""
    if not override.is_sweep_override():
        return override.get_value_element_as_str()
    swept = override.value()
    assert isinstance(swept, ChoiceSweep)
    values = f"choice({','.join(override.sweep_string_iterator())})"
    return f"tag({','.join([*sorted(swept.tags), values])})" if swept.tags else values


def _mapped(override: Override, change: Callable[[Any, Path], Any]) -> Override:
    """Return an override after applying `change` to each item and mapping key, with its path."""

    def inside(value: Any, path: Path) -> Any:
        if isinstance(value, list):
            return [inside(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {change(name, (*path, None)): inside(item, (*path, _text(name))) for name, item in value.items()}
        return change(value, path)

    value, key = override._value, tuple(override.key_or_group.split("."))
    if isinstance(value, ChoiceSweep):
        return replace(override, _value=replace(value, list=[inside(item, key) for item in value.list]))
    return replace(override, _value=inside(value, key))


def _item_types(override: Override) -> set[type]:
    """Return the types of the items and keys in an override's value."""
    found: set[type] = set()
    _mapped(override, lambda item, _: found.add(type(item)))
    return found


def _text(name: Any) -> str:
    return name.text if isinstance(name, QuotedString) else str(name)
