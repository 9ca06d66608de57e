"""Numbers, `true` and `false` of a command line with the text that was typed for them.

Hydra's grammar reads `1_004` as 1004, `1e05233` as infinity and `2024_11` as 202411. Where the schema wants text, the
text that was typed is meant. Both are kept until the schema is known: it depends on the classes that `_target_` names.
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
"""The keys and indices that lead to a part of a configuration; None leads to a key of the mapping there."""

TakesText = Callable[[Path, "Number"], bool]
"""Whether the schema wants a number at a path as text."""


class Typed(QuotedString):
    """Text that looks like a number, `true` or `false`, shown as it was typed: without quotes."""

    def __init__(self, text: str) -> None:
        super().__init__(text, Quote.single)

    def __hash__(self) -> int:  # it may be the key of a mapping
        return hash(self.text)

    def with_quotes(self) -> str:
        """Return the text."""
        return self.text


class _Quoted(Typed):
    """Such text in the quotes that Hydra needs."""

    def with_quotes(self) -> str:
        """Return the text in quotes."""
        return QuotedString(self.text, Quote.single).with_quotes()


class Number(Typed):
    """A number, `true` or `false`, with the text that was typed for it; which of the two is meant is not known yet."""

    def __init__(self, text: str, value: Any) -> None:
        super().__init__(text)
        self.value = value

    def with_quotes(self) -> str:
        """Return the value as Hydra shows it."""
        return str(self.value)


class _Visitor(HydraOverrideVisitor):
    """Reads a number, `true` or `false` as a `Number`, unless a function computes with it."""

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
            # Hydra passes a function the text of what is in quotes.
            values = [item.text if type(item) is QuotedString else item for item in map(self.visitElement, elements)]
            return replace(value, list=values)
        return value


def _with_text(value: Any, ctx: Any) -> Any:
    return Number(ctx.getText().strip(" \t"), value) if type(value) in (int, float, bool) else value


def with_numbers(override: Override, functions: Any) -> Override:
    """Return an override, parsed by Hydra, in which each number is a `Number`."""
    lexer = OverrideLexer(InputStream(override.input_line))
    read = _Visitor(functions).visit(OverrideParser(CommonTokenStream(lexer)).override())  # type: ignore[no-untyped-call]
    return replace(override, _value=read._value)


def settled(override: Override, takes_text: TakesText) -> Override:
    """Return an override in which each `Number` is its value, or its text where `takes_text` says so."""

    def chosen(item: Any, path: Path) -> Any:
        if not isinstance(item, Number):
            return item
        return Typed(item.text) if takes_text(path, item) else item.value

    return _mapped(override, chosen)


def valued(override: Override) -> Override:
    """Return an override in which each `Number` is its value, as Hydra reads it."""
    return settled(override, lambda *_: False)


def has_numbers(override: Override) -> bool:
    """Return whether an override holds a `Number`."""
    return Number in _kinds(override)


def word_for_hydra(override: Override) -> str:
    """Return the argument that gives Hydra the value of a settled override: text that looks like a number is quoted."""
    if Typed not in _kinds(override):
        return typed(override)
    quoted = _mapped(override, lambda item, _: _Quoted(item.text) if isinstance(item, Typed) else item)
    return f"{quoted.get_key_element()}={_written(quoted)}"


def typed(override: Override) -> str:
    """Return an override as it was typed, or else, if a sweep made it, as Hydra writes it."""
    if override.input_line is not None:
        return override.input_line
    key = override.get_key_element()
    return key if override.value_type is None else f"{key}={override.get_value_element_as_str()}"


def _written(override: Override) -> str:
    """Return the part of an argument after the equals sign; a sweep that is to be shuffled is."""
    if not override.is_sweep_override():
        return override.get_value_element_as_str()
    swept = override.value()
    assert isinstance(swept, ChoiceSweep)
    values = f"choice({','.join(override.sweep_string_iterator())})"
    return f"tag({','.join([*sorted(swept.tags), values])})" if swept.tags else values


def _mapped(override: Override, change: Callable[[Any, Path], Any]) -> Override:
    """Return an override in which `change` has replaced each item and each key of a mapping, given its path."""

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


def _kinds(override: Override) -> set[type]:
    """Return the types of the items and keys of an override's value."""
    kinds: set[type] = set()
    _mapped(override, lambda item, _: kinds.add(type(item)))
    return kinds


def _text(name: Any) -> str:
    return name.text if isinstance(name, QuotedString) else str(name)
