"""Check a plain mapping against the signature of a class, and build the object.

The schema's dataclasses and the classes in `_target_` nodes follow the same rules: the valid keys are the parameters
of the signature, and values must match their annotation, including `annotated_types` bounds. All problems are
collected, each with its dotted key, before an error is raised.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from bisum.config.annotations import (
    MISSING,
    advice,
    alternatives,
    bounds_of,
    expected,
    members,
    node_class,
    other_keywords,
    signature_hints,
)
from bisum.config.targets import allowed_targets, locate, refusal
from bisum.errors import UserError, either, nearest, one_line, reason
from bisum.interfaces.defaults import conf_default, options_with

T = TypeVar("T")

_QUOTE_IT = '; quote it in the YAML file: "..."'
"""Advice for text that YAML reads as a number, true or false; on the command line, text needs no quotes."""


OPTIONAL_GROUPS = ("hparams_search", "experiment", "debug")
"""Groups with default null, in the order they apply; their options can set any key."""
LIST_GROUPS = ("filter", "metric")
"""Groups that accept any number of options."""

_MAX_LINES = 50
"""Problems and names listed individually; further ones are counted."""
_MAX_CHARACTERS = 200
"""Length limit of a value in a message."""


@dataclass
class Problems:
    """The problems in a configuration, in the order of its keys."""

    lines: list[str] = field(default_factory=list)

    def add(self, key: str, message: str) -> None:
        """Add a line about a dotted key (empty for the whole configuration)."""
        self.lines.append(f"{key}: {message}" if key else message)


def build(cls: type[T], values: Mapping[str, Any], **given: Any) -> T:
    """Return `cls(**values, **given)` with every nested node checked and built.

    `given` are internal arguments, which are not keys.

    Raises:
        UserError: one line for each unknown or missing key, wrong type, value out of range and refused `_target_`.
    """
    problems = Problems()
    instance = _construct(cls, values, "", problems, given)
    if problems.lines:
        more = len(problems.lines) - _MAX_LINES
        last = [f"{more:,} more problems"] if more > 0 else []
        raise UserError("\n".join([*problems.lines[:_MAX_LINES], *last]))
    return instance  # type: ignore[no-any-return]


def unknown_keys(cls: type, names: Iterable[str], key: str) -> list[str]:
    """Return a line for each name missing from the signature of a class; the class is not called."""
    if other_keywords(cls):
        return []
    parameters = _parameters(cls)
    return [f"{_join(key, name)}: {no_such_key(name, parameters)}" for name in names if name not in parameters]


def value_problems(annotation: Any, value: Any, key: str) -> list[str]:
    """Return a line for each problem of a value, plain data, under an annotation."""
    problems = Problems()
    _value(annotation, value, key, problems)
    return problems.lines


def no_such_key(name: str, valid: Collection[str]) -> str:
    """Return a message about an unknown key, with the nearest name and all valid ones."""
    return f"no such key{nearest(name, valid)} (valid: {listing(valid)})"


def _owners(group: str, name: Any) -> str:
    """Return the options of a group that have a key which the chosen one lacks, as the end of a message."""
    owners = [f"{group}={option}" for option in options_with(group, name)] if "." not in group else []
    return f"; it belongs to {either(owners)}" if owners else ""


def listing(names: Collection[str]) -> str:
    """Return names as text for a message, cut to the first ones."""
    shown = ", ".join([*names][:_MAX_LINES]) or "none"
    return f"{shown} and {len(names) - _MAX_LINES:,} more" if len(names) > _MAX_LINES else shown


def _construct(cls: type, values: Any, key: str, problems: Problems, given: Mapping[str, Any] | None = None) -> Any:
    """Check `values` against the signature of `cls` and call it; return None if there are problems."""
    given = given or {}
    found = len(problems.lines)
    arguments = _arguments(cls, values, key, problems, given)
    if len(problems.lines) > found:
        return None
    try:
        return cls(**arguments, **given)
    except UserError as error:
        names_parameter = str(error).split(maxsplit=1)[0].rstrip(":").partition(".")[0] in _parameters(cls)
        problems.add("" if names_parameter else key, _join(key, str(error)) if names_parameter else str(error))
    except (Exception, SystemExit) as error:
        problems.add(key, f"{cls.__name__} rejects its settings: {one_line(error) or type(error).__name__}")
    return None


def _arguments(
    cls: type, values: Any, key: str, problems: Problems, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the checked arguments of a class; add errors to `problems`."""
    parameters = {name: parameter for name, parameter in _parameters(cls).items() if name not in (given or {})}
    if not isinstance(values, Mapping):
        problems.add(key, f"expected a mapping of {', '.join(parameters)}, not {_shown(values)}")
        return {}
    others = other_keywords(cls)
    try:
        hints = signature_hints(cls)
    except NameError as error:
        problems.add(key, f"{cls.__name__} has an annotation that cannot be resolved: {error}")
        return {}
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        path = _join(key, str(name))
        if name not in parameters and not others:
            many = len(problems.lines) > _MAX_LINES
            problems.add(path, "no such key" if many else f"{no_such_key(str(name), parameters)}{_owners(key, name)}")
        elif not isinstance(name, str):
            problems.add(key, f"expected text as a key, not {_shown(name)}{_QUOTE_IT}")
        elif value == MISSING:
            problems.add(path, f"needs a value, for example {path}=...")
        else:
            arguments[name] = _value(hints.get(name, hints.get(others, Any)), value, path, problems)
    for name, parameter in parameters.items():
        # A default in conf/ is only for callers from Python; a configuration must state the key.
        if name not in values and (parameter.default is parameter.empty or conf_default(cls, name)):
            problems.add(_join(key, name), "is missing")
    return arguments


def _value(annotation: Any, value: Any, key: str, problems: Problems) -> Any:
    """Check a value against its annotation and return it with nested classes built; an int is accepted as a float."""
    cls = node_class(annotation)
    for option in alternatives(annotation):
        base, *constraints = get_args(option) if get_origin(option) is Annotated else (option,)
        checks = [check for constraint in constraints for _, check in bounds_of(constraint)]
        if _has_type(base, value) and all(check(value) for check in checks):
            return _converted(base, value, key, problems)
    if cls is not None and str not in members(annotation):
        return _node(cls, value, key, problems)
    wanted = expected(annotation, value)
    if isinstance(value, float) and not math.isfinite(value):
        wanted = wanted.replace("a number", "a finite number")
    if hint := advice(annotation):  # which has an example of this key
        wanted = re.sub(r" such as \[\S+\]", "", wanted)
    is_unquoted = str in members(annotation) and isinstance(value, bool | int | float)
    problems.add(key, f"expected {wanted}, not {_shown(value)}{_QUOTE_IT if is_unquoted else ''}{hint}")
    return None


def _has_type(annotation: Any, value: Any) -> bool:
    """Return whether a value has the annotated type, without checking its items."""
    origin = get_origin(annotation) or annotation
    if annotation is Any:
        return True
    if isinstance(value, str) and value == MISSING:
        return False
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(annotation))
    if origin is float:
        return type(value) in (int, float) and math.isfinite(value)
    if origin is dict or node_class(annotation):
        return isinstance(value, Mapping)
    return type(value) is (type(None) if annotation is None else origin)


def _converted(annotation: Any, value: Any, key: str, problems: Problems) -> Any:
    """Check and build the items of a value of the right type."""
    arguments = get_args(annotation)
    if (cls := node_class(annotation)) is not None:
        return _node(cls, value, key, problems)
    if isinstance(value, list) and arguments:
        return [_value(arguments[0], item, f"{key}[{index}]", problems) for index, item in enumerate(value)]
    if isinstance(value, Mapping) and arguments:
        if node_class(arguments[1]) and "_target_" in value:
            problems.add(key, f"this node has no name; begin its file with '# @package {key}.NAME'")
            return None
        for name in value:
            if not any(_has_type(option, name) for option in members(arguments[0])):
                problems.add(key, f"expected {expected(arguments[0], name)} as a key, not {_shown(name)}{_QUOTE_IT}")
        return {name: _value(arguments[1], item, _join(key, str(name)), problems) for name, item in value.items()}
    return float(value) if annotation is float else value


def _node(cls: type, value: Any, key: str, problems: Problems) -> Any:
    """Build the class of a node: a dataclass of the schema, or the class in `_target_`."""
    is_schema = hasattr(cls, "__dataclass_fields__") and not inspect.isabstract(cls)
    return (_construct if is_schema else _target)(cls, value, key, problems)


def _target(interface: type, node: Any, key: str, problems: Problems) -> Any:
    """Build the class in `_target_` if it is allowed and implements the interface."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        group, _, name = key.partition(".")
        listed = f"; add it by name: {group}=[...,{name}]"
        hint = listed if group in LIST_GROUPS else f"; choose a {group} that has one"
        missing = f"missing _target_, the class to configure{hint if name else ''}"
        problems.add(
            key, missing if isinstance(node, Mapping) else f"expected a mapping with _target_, not {_shown(node)}"
        )
        return None
    path = str(node["_target_"])
    if refused := refusal(path, ["bisum", *allowed_targets()]):
        problems.add(_join(key, "_target_"), refused)
        return None
    try:
        cls = locate(path)
    except UserError as error:
        problems.add(_join(key, "_target_"), str(error))
        return None
    if missing := _missing(cls, interface):
        problems.add(_join(key, "_target_"), f"'{path}' does not implement {interface.__name__}: {missing}")
        return None
    instance = _construct(cls, {name: value for name, value in node.items() if name != "_target_"}, key, problems)
    properties = [name for name, member in vars(interface).items() if isinstance(member, property)]
    if instance is not None and (missing := _missing_members(instance, properties)):
        problems.add(_join(key, "_target_"), f"'{path}' does not implement {interface.__name__}: {missing}")
    return instance


@cache
def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name: p for name, p in inspect.signature(cls).parameters.items() if p.kind in keyword}


def _missing(cls: type, interface: type) -> str:
    """Return why a class does not implement an abstract base class or Protocol; "" if it does."""
    if inspect.isabstract(interface) and not getattr(interface, "_is_protocol", False):
        return (
            ""
            if issubclass(cls, interface)
            else f"it does not inherit from {interface.__module__}.{interface.__name__}"
        )
    methods = [name for name, member in vars(interface).items() if callable(member) and not name.startswith("_")]
    return _missing_members(cls, methods)


def _missing_members(thing: Any, names: Iterable[str]) -> str:
    try:
        missing = [name for name in names if not hasattr(thing, name)]
    except (Exception, SystemExit) as error:  # a property can raise anything
        return f"a property fails: {reason(error)}"
    return f"it has no {', '.join(missing)}" if missing else ""


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "null" if value is None else repr(value)
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 3]}..."
