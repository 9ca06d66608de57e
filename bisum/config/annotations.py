"""Type annotations as checks of a value's type and bounds, and as text for messages."""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Callable, Collection
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types

from bisum.errors import either
from bisum.interfaces.text import Filled

MISSING = "???"
"""The value in YAML of a required key without a default."""


@cache
def signature_hints(cls: type) -> dict[str, Any]:
    """Return the annotations of a class's parameters: a dataclass's fields, or the parameters of `__init__`."""
    owner = cls if hasattr(cls, "__dataclass_fields__") else cls.__init__  # type: ignore[misc]
    return get_type_hints(owner, include_extras=True)


def other_keywords(cls: type) -> str:
    """Return the name of the parameter for all other keywords, such as `**kwargs`; "" if there is none."""
    signature = inspect.signature(cls).parameters.values()
    return next((parameter.name for parameter in signature if parameter.kind is parameter.VAR_KEYWORD), "")


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the annotation itself if it is not a union."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union without their constraints."""
    found: list[Any] = []
    for option in alternatives(annotation):
        is_constrained = get_origin(option) is Annotated
        found += members(get_args(option)[0]) if is_constrained else [option]
    return tuple(found)


def takes_text(options: Collection[Any], text: str, value: float) -> bool:
    """Return whether a number, `true` or `false` is read as text under these annotations."""
    if Any in options or (isinstance(value, bool) and bool in options):
        return False
    listed = [choice for option in options if get_origin(option) is Literal for choice in get_args(option)]
    if any(choice == value and type(choice) is type(value) for choice in listed):
        return False
    return str in options or text in listed


def node_class(annotation: Any) -> type | None:
    """Return the class that a node configures, possibly as a member of a union; None for plain data."""
    for option in alternatives(annotation):
        if isinstance(option, type) and option.__module__ not in ("builtins", "typing"):
            return option
    return None


def expected(annotation: Any, rejected: Any = ...) -> str:
    """Return a description of valid values, such as "a whole number >= 1".

    Upper bounds that the `rejected` value satisfies are omitted, and so is "not empty" unless it is empty.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [bound for constraint in arguments[1:] for bound in bounds_of(constraint)]
        texts = [text for text, accepts in bounds if _is_relevant(text, accepts, rejected)]
        limits = re.sub(r"at least (\d+) items? and at most (\d+) items", r"\1 to \2 items", " and ".join(texts))
        limits = re.sub(r"(\d+) to \1 items", r"\1 items", limits)
        return f"{expected(arguments[0])} {f'({limits})' if limits.endswith(('item', 'items')) else limits}".rstrip()
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is list:
        return f"a list of {_items(arguments[0])}"
    if origin is dict:
        return "a mapping of names to values"
    if len(options := alternatives(annotation)) > 1:
        null_last = sorted(options, key=lambda option: option is type(None))
        return either(text for option in null_last for text in _choices(option, rejected))
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _choices(option: Any, rejected: Any) -> list[str]:
    """Return the descriptions of a union's member: one, or one per value of a small set."""
    if option is bool:
        return ["true", "false"]
    return [*map(str, get_args(option))] if get_origin(option) is Literal else [expected(option, rejected)]


def _items(annotation: Any) -> str:
    """Return a description of a list's items, without upper bounds, and an example of the list."""
    item = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(item) is list:
        return "lists such as [[a,b],[c]]"
    if item in _PLURALS:
        return f"{_PLURALS[item]} such as [1,2]"
    return f"{expected(annotation, None)} such as [a,b]"


def _is_relevant(text: str, accepts: Callable[[Any], bool], rejected: Any) -> bool:
    """Return whether the description includes a bound, given the rejected value."""
    if not text.startswith(("<= ", "that is ")):
        return True
    if rejected is ...:
        return text.startswith("<= ")
    try:
        return not accepts(rejected) and (not isinstance(rejected, int | float) or math.isfinite(rejected))
    except (TypeError, AttributeError):
        return False


def advice(annotation: Any) -> str:
    """Return the `annotated_types.doc` of an annotation, for a message about a wrong value."""
    options = (option for option in alternatives(annotation) if get_origin(option) is Annotated)
    found = [
        part.documentation for option in options for part in get_args(option)[1:] if hasattr(part, "documentation")
    ]
    return "".join(f"; {text}" for text in found)


def bounds_of(constraint: Any) -> list[tuple[str, Callable[[Any], bool]]]:
    """Return the description and the check of each bound in an `annotated_types` constraint."""
    if isinstance(constraint, annotated_types.GroupedMetadata):
        return [check for part in constraint for check in bounds_of(part)]
    match constraint:
        case annotated_types.Ge(ge=bound):
            return [(f">= {_figure(bound)}", lambda value: value >= bound)]
        case annotated_types.Gt(gt=bound):
            return [(f"> {_figure(bound)}", lambda value: value > bound)]
        case annotated_types.Le(le=bound):
            return [(f"<= {_figure(bound)}", lambda value: value <= bound)]
        case annotated_types.Lt(lt=bound):
            return [(f"< {_figure(bound)}", lambda value: value < bound)]
        case Filled():
            return [("that is not empty", lambda value: bool(value.strip()))]
        case annotated_types.MinLen(min_length=length):
            return [(f"at least {length} item{'s' * (length > 1)}", lambda value: len(value) >= length)]
        case annotated_types.MaxLen(max_length=length):
            return [(f"at most {length} item{'s' * (length > 1)}", lambda value: len(value) <= length)]
    return []


def _figure(bound: Any) -> str:
    """Return a bound as text, with thousands separators."""
    return f"{bound:,.0f}" if 10_000 <= abs(bound) < 1e15 and bound == int(bound) else f"{bound:g}"


_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
}

_PLURALS = {int: "whole numbers", float: "numbers"}
