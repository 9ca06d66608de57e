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
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import annotated_types

from bisum.errors import UserError

ALLOW_VARIABLE = "BISUM_ALLOW_TARGETS"
MISSING = "???"
T = TypeVar("T")


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


def allow(value: str) -> None:
    """Allow the packages in `[a,b]`, which may lie in the current folder, to this process and those it starts."""
    names = [*allowed_targets(), *(name.strip().strip("'\"") for name in value.strip("[]").split(","))]
    if names := list(filter(None, names)):
        os.environ[ALLOW_VARIABLE] = ",".join(names)
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))


def obey_allow_targets(words: Iterable[str]) -> list[str]:
    """Allow the packages that `allow_targets=[a,b]` among a user's own words names, and return the other words."""
    words = list(words)
    ours = [word for word in words if word.lstrip("+").startswith("allow_targets=")]
    for word in ours:
        allow(word.partition("=")[2])
    return [word for word in words if word not in ours]


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
        hints = signature_hints(cls)
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
    """Return a value as annotated (an int may stand for a float), nested classes built."""
    cls = node_class(annotation)
    for option in alternatives(annotation):
        base, *constraints = get_args(option) if get_origin(option) is Annotated else (option,)
        checks = [check for constraint in constraints for _, check in _bounds(constraint)]
        if _has_type(base, value) and all(check(value) for check in checks):
            return _converted(base, value, key, problems)
    if cls is not None and str not in alternatives(annotation):
        return _node(cls, value, key, problems)
    words = expected(annotation)
    if isinstance(value, float) and not math.isfinite(value):
        words = words.replace("a number", "a finite number")
    problems.add(key, f"expected {words}, not {_shown(value)}")
    return None


def _has_type(annotation: Any, value: Any) -> bool:
    """Tell whether a value is of the annotated type, whatever its items are."""
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
    """Return a value of the right type, its items checked and built."""
    arguments = get_args(annotation)
    if (cls := node_class(annotation)) is not None:
        return _node(cls, value, key, problems)
    if isinstance(value, list) and arguments:
        return [_value(arguments[0], item, f"{key}[{index}]", problems) for index, item in enumerate(value)]
    if isinstance(value, Mapping) and arguments:
        if node_class(arguments[1]) and "_target_" in value:
            problems.add(key, f"its file must begin with '# @package {key}.NAME' for this node to have a name")
            return None
        return {str(name): _value(arguments[1], item, _join(key, str(name)), problems) for name, item in value.items()}
    return float(value) if annotation is float else value


def _node(cls: type, value: Any, key: str, problems: Problems) -> Any:
    """Build the class that a node configures: a dataclass of the schema, or the one that `_target_` names."""
    is_schema = hasattr(cls, "__dataclass_fields__") and not inspect.isabstract(cls)
    return (_construct if is_schema else _target)(cls, value, key, problems)


def _target(interface: type, node: Any, key: str, problems: Problems) -> Any:
    """Build the class that a `_target_` node names, if it may be named and has the interface's members."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        group, _, name = key.partition(".")
        hint = f"; add it by name: filter=[...,{name}]" if group == "filter" else f"; choose a {group} that has one"
        hint = hint if name and isinstance(node, Mapping) else ""
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


def signature_hints(cls: type) -> dict[str, Any]:
    """Return the parameters' annotations; a dataclass keeps them on the class, another class on `__init__`."""
    owner = cls if hasattr(cls, "__dataclass_fields__") else cls.__init__  # type: ignore[misc]
    return get_type_hints(owner, include_extras=True)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; another annotation as the only one."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def node_class(annotation: Any) -> type | None:
    """Return the class whose settings a value holds, be it one of several alternatives; None for plain data."""
    for option in alternatives(annotation):
        if isinstance(option, type) and option.__module__ not in ("builtins", "typing"):
            return option
    return None


def expected(annotation: Any) -> str:
    """Return in words what a value must be."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [words for constraint in arguments[1:] for words, _ in _bounds(constraint)]
        return f"{expected(arguments[0])} {' and '.join(bounds)}".rstrip()
    if origin is Literal:
        return f"one of {_listed(map(str, arguments))}"
    if origin is list:
        return f"a list such as [a,b] of {expected(arguments[0])}"
    if origin is dict:
        return "a mapping of names to values"
    if len(options := alternatives(annotation)) > 1:
        return " or ".join(map(expected, options))
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(constraint: Any) -> list[tuple[str, Callable[[Any], bool]]]:
    """Return the words and the check of each bound in an `annotated_types` constraint."""
    if isinstance(constraint, annotated_types.GroupedMetadata):
        return [check for part in constraint for check in _bounds(part)]
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


_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    type(None): "null",
    list: "a list",
    dict: "a mapping",
}


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    keyword = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name: p for name, p in inspect.signature(cls).parameters.items() if p.kind in keyword}


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
