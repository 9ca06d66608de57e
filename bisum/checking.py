"""Check a plain mapping against the signature of a class, and build the object.

One rule serves the dataclasses of the schema and the classes that `_target_` nodes name: every parameter of the
signature may be a key, no other key may; values must have the annotated type, and lie in the range that an
`annotated_types` constraint gives. All problems are collected, each with its dotted key, before anything is raised.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import os
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import annotated_types

from bisum.errors import UserError

ALLOW_VARIABLE = "BISUM_ALLOW_TARGETS"
MISSING = "???"
T = TypeVar("T")


class Invalid(Exception):
    """A value does not fit an annotation; the message says what would, `place` where in the value (`[1]`, `.name`)."""

    def __init__(self, expected: str, value: Any, place: str = "") -> None:
        super().__init__(expected)
        self.value = value
        self.place = place


@dataclass
class Problems:
    """The mistakes found so far, in the order of the configuration."""

    lines: list[str] = field(default_factory=list)

    def add(self, key: str, message: str) -> None:
        """Record one line about a dotted key (empty for the whole configuration)."""
        self.lines.append(f"{key}: {message}" if key else message)


def build(cls: type[T], values: Mapping[str, Any]) -> T:
    """Return `cls(**values)` with every nested node checked and built.

    Raises:
        UserError: one line for each unknown or missing key, wrong type, value out of range and refused `_target_`.
    """
    problems = Problems()
    instance = _construct(cls, values, "", problems)
    if problems.lines:
        raise UserError("\n".join(problems.lines))
    return instance  # type: ignore[no-any-return]


def allowed_targets() -> list[str]:
    """Return the packages, besides bisum, whose classes `_target_` may name."""
    return [name.strip() for name in os.environ.get(ALLOW_VARIABLE, "").split(",") if name.strip()]


def is_allowed(target: str, packages: Iterable[str]) -> bool:
    """Tell whether a dotted path is one of the packages or lies inside one."""
    return any(target == package or target.startswith(f"{package}.") for package in packages)


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the closest choice, or nothing."""
    close = difflib.get_close_matches(word, [choice for choice in choices if choice != word], n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""


def _construct(cls: type, values: Any, key: str, problems: Problems) -> Any:
    """Check `values` against the signature of `cls` and call it; None when something was wrong."""
    if not isinstance(values, Mapping):
        problems.add(key, f"expected a mapping of {_listed(_parameters(cls))}, not {_shown(values)}")
        return None
    parameters = _parameters(cls)
    signature = inspect.signature(cls).parameters.values()
    others = next((parameter.name for parameter in signature if parameter.kind is parameter.VAR_KEYWORD), "")
    found = len(problems.lines)
    try:
        hints = _hints(cls)
    except NameError as error:
        problems.add(key, f"{cls.__name__} has an annotation that cannot be resolved: {error}")
        return None
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        path = _join(key, str(name))
        if name not in parameters and not others:
            problems.add(path, f"no such key{nearest(str(name), parameters)} (valid: {_listed(parameters)})")
        elif value == MISSING:
            problems.add(path, f"needs a value, for example {path}=...")
        else:
            arguments[str(name)] = _value(hints.get(name, hints.get(others, Any)), value, path, problems)
    for name, parameter in parameters.items():
        if name not in values and parameter.default is parameter.empty:
            problems.add(_join(key, name), "is missing")
    if len(problems.lines) > found:
        return None
    try:
        return cls(**arguments)
    except UserError as error:
        names_parameter = str(error).split(maxsplit=1)[0].rstrip(":").partition(".")[0] in parameters
        problems.add("" if names_parameter else key, _join(key, str(error)) if names_parameter else str(error))
    except Exception as error:
        problems.add(key, f"{cls.__name__} refused its settings: {_one_line(error)}")
    return None


def _value(annotation: Any, value: Any, key: str, problems: Problems) -> Any:
    """Check one value against its annotation; nested classes are built."""
    target = _class_of(annotation)
    if value is None and _accepts_none(annotation):
        return None
    if target is not None:
        if hasattr(target, "__dataclass_fields__") and not inspect.isabstract(target):
            return _construct(target, value, key, problems)
        return _target(target, value, key, problems)
    element = _element_class(annotation)
    if element is not None and isinstance(value, Mapping):
        if "_target_" in value:
            problems.add(key, f"its file must begin with '# @package {key}.NAME' for this node to have a name")
            return None
        return {name: _value(element, node, _join(key, name), problems) for name, node in value.items()}
    if get_origin(annotation) is list and isinstance(value, list) and _contains_class(annotation):
        (item,) = get_args(annotation)
        return [_value(item, node, f"{key}[{index}]", problems) for index, node in enumerate(value)]
    if _contains_class(annotation) and isinstance(value, Mapping):
        return _value(_only_class(annotation), value, key, problems)
    try:
        return _plain(annotation, value)
    except Invalid as error:
        problems.add(f"{key}{error.place}", f"expected {error}, not {_shown(error.value)}")
        return None


def _target(interface: type, node: Any, key: str, problems: Problems) -> Any:
    """Build the class that a `_target_` node names, if it may be named and has the interface's members."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        chosen = key.partition(".")[2]
        hint = (
            f"; add it by name: {key.partition('.')[0]}=[...,{chosen}]" if chosen and isinstance(node, Mapping) else ""
        )
        problems.add(key, f"has no _target_, the class it configures{hint}")
        return None
    path = str(node["_target_"])
    packages = ["bisum", *allowed_targets()]
    if not is_allowed(path, packages):
        package = path.partition(".")[0]
        problems.add(
            _join(key, "_target_"),
            f"'{path}' is not allowed (allowed: {_listed(packages)}); if you trust that code, "
            f"add allow_targets=[{package}] to the command line or set {ALLOW_VARIABLE}={package}",
        )
        return None
    try:
        cls = locate(path)
    except UserError as error:
        problems.add(_join(key, "_target_"), str(error))
        return None
    lacking = _lacking(cls, interface)
    if lacking:
        problems.add(_join(key, "_target_"), f"'{path}' is no {interface.__name__}: {lacking}")
        return None
    instance = _construct(cls, {name: value for name, value in node.items() if name != "_target_"}, key, problems)
    properties = [name for name, member in vars(interface).items() if isinstance(member, property)]
    if instance is not None and (lacking := _none_of(instance, properties)):
        problems.add(_join(key, "_target_"), f"'{path}' is no {interface.__name__}: {lacking}")
    return instance


def locate(path: str) -> type:
    """Import the class that a dotted path names.

    Raises:
        UserError: there is no such module or class, or its module cannot be imported.
    """
    module_name, _, class_name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and is_allowed(module_name, [error.name]):
            raise UserError(f"'{path}': there is no module '{error.name}' on the Python path") from error
        raise UserError(f"'{path}': its module needs '{error.name}', which is not installed") from error
    except (Exception, SystemExit) as error:
        raise UserError(
            f"'{path}': its module cannot be imported: {type(error).__name__}: {_one_line(error)}"
        ) from error
    cls = getattr(module, class_name, None)
    if not inspect.isclass(cls):
        classes = [name for name, value in vars(module).items() if inspect.isclass(value)]
        own = [name for name in classes if getattr(module, name).__module__ == module_name]
        raise UserError(
            f"'{module_name}' has no class '{class_name}'{nearest(class_name, own)} (valid: {_listed(own)})"
        )
    return cls


def _plain(annotation: Any, value: Any) -> Any:
    """Return `value` as the annotated type (an int may stand for a float), or raise Invalid with what would fit."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if isinstance(value, str) and value == MISSING:
        raise Invalid("a value", value)
    if origin is Annotated:
        base, *constraints = arguments
        checks = [check for constraint in constraints for check in _constraints(constraint)]
        words = " and ".join(text for text, _ in checks)
        try:
            result = _plain(base, value)
        except Invalid as error:
            raise error if error.place else Invalid(f"{error} {words}", value) from None
        if not all(check(result) for _, check in checks):
            raise Invalid(f"{_type_name(base)} {words}", value)
        return result
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            raise Invalid(f"one of {_listed(map(str, arguments))}", value)
        return value
    if origin in (Union, types.UnionType):
        return _plain_union(arguments, value)
    if origin is list:
        if not isinstance(value, list):
            raise Invalid(f"a list such as [a,b] of {_type_name(arguments[0])}", value)
        return [_plain_item(arguments[0], item, f"[{index}]") for index, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise Invalid("a mapping of names to values", value)
        return {str(name): _plain_item(arguments[1], item, f".{name}") for name, item in value.items()}
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if annotation is float and isinstance(value, float) and not math.isfinite(value):
        raise Invalid("a finite number", value)
    if type(value) is not (type(None) if annotation is None else annotation):
        raise Invalid(_type_name(annotation), value)
    return value


def _plain_item(annotation: Any, value: Any, place: str) -> Any:
    """Return an item of a list or mapping; a mistake inside is told by its place."""
    try:
        return _plain(annotation, value)
    except Invalid as error:
        raise Invalid(str(error), error.value, place + error.place) from None


def _plain_union(options: tuple[Any, ...], value: Any) -> Any:
    """Return the value as the first option that it fits; the option that fits it furthest in tells the mistake."""
    errors = []
    for option in options:
        try:
            return _plain(option, value)
        except Invalid as error:
            errors.append(error)
    inside = [error for error in errors if error.place]
    raise inside[0] if inside else Invalid(" or ".join(map(str, errors)), value)


def _constraints(constraint: Any) -> list[tuple[str, Callable[[Any], bool]]]:
    """Return the words and the check of each bound in an `annotated_types` constraint."""
    if isinstance(constraint, annotated_types.GroupedMetadata):
        return [check for part in constraint for check in _constraints(part)]
    match constraint:
        case annotated_types.Ge(ge=bound):
            return [(f">= {bound}", lambda value: value >= bound)]
        case annotated_types.Gt(gt=bound):
            return [(f"> {bound}", lambda value: value > bound)]
        case annotated_types.Le(le=bound):
            return [(f"<= {bound}", lambda value: value <= bound)]
        case annotated_types.Lt(lt=bound):
            return [(f"< {bound}", lambda value: value < bound)]
        case annotated_types.MinLen(min_length=length):
            return [(f"with at least {length} item(s)", lambda value: len(value) >= length)]
        case annotated_types.MaxLen(max_length=length):
            return [(f"with at most {length} item(s)", lambda value: len(value) <= length)]
    return []


_TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
}


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_name(get_args(annotation)[0])
    base = get_origin(annotation) or annotation
    return _TYPE_NAMES.get(base, getattr(base, "__name__", str(base)))


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name: p for name, p in inspect.signature(cls).parameters.items() if p.kind in keyword}


def _hints(cls: type) -> dict[str, Any]:
    """Return the parameters' annotations; a dataclass keeps them on the class, another class on `__init__`."""
    owner = cls if hasattr(cls, "__dataclass_fields__") else cls.__init__  # type: ignore[misc]
    return get_type_hints(owner, include_extras=True)


def _lacking(cls: type, interface: type) -> str:
    """Return what keeps a class from serving as the interface, an abstract base class or a Protocol; "" if nothing."""
    if inspect.isabstract(interface) and not getattr(interface, "_is_protocol", False):
        return (
            ""
            if issubclass(cls, interface)
            else f"it does not inherit from {interface.__module__}.{interface.__name__}"
        )
    methods = [name for name, member in vars(interface).items() if callable(member) and not name.startswith("_")]
    return _none_of(cls, methods)


def _none_of(thing: Any, names: Iterable[str]) -> str:
    missing = [name for name in names if not hasattr(thing, name)]
    return f"it has no {_listed(missing)}" if missing else ""


def _class_of(annotation: Any) -> type | None:
    """Return the class of a nested node (dataclass or interface), looking through `X | None`; None for plain data."""
    if get_origin(annotation) in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        return _class_of(options[0]) if len(options) == 1 else None
    if isinstance(annotation, type) and annotation.__module__ not in ("builtins", "typing"):
        return annotation
    return None


def _element_class(annotation: Any) -> type | None:
    if get_origin(annotation) is dict:
        return _class_of(get_args(annotation)[1])
    return None


def _only_class(annotation: Any) -> Any:
    return next(option for option in get_args(annotation) if _class_of(option) is not None)


def _contains_class(annotation: Any) -> bool:
    return any(_class_of(option) is not None or _contains_class(option) for option in get_args(annotation))


def _accepts_none(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType) and type(None) in get_args(annotation)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else repr(value)
