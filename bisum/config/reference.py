"""The keys of a composed configuration, each with its value, type and description."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, get_args, get_origin

from bisum.config.annotations import (
    MISSING,
    alternatives,
    expected,
    members,
    node_class,
    other_keywords,
    signature_hints,
)
from bisum.config.targets import allowed_targets, is_allowed, locate
from bisum.config.yaml_booleans import YamlPath
from bisum.errors import UserError
from bisum.interfaces.language import Language


@dataclass(frozen=True)
class Key:
    """A key of a configuration."""

    name: str
    """The dotted name, such as `trainer.epochs`."""
    value: Any
    """Plain data; a mapping if there are keys below this one."""
    annotation: Any
    """The annotation in the schema, if any."""
    line: str
    """The description in the schema."""

    @property
    def is_node(self) -> bool:
        """Whether there are keys below this one."""
        return isinstance(self.value, Mapping) and bool(self.value)

    @property
    def shown(self) -> str:
        """The value in the form to type."""
        return "(required)" if self.value == MISSING else _written(self.value)

    @property
    def expected(self) -> str:
        """A description of valid values."""
        return expected(self.annotation) if self.annotation is not None else ""

    @property
    def choices(self) -> list[str]:
        """The valid values, if they can be listed."""
        found: list[str] = []
        for option in alternatives(self.annotation):
            if get_origin(option) is Literal:
                found += map(str, get_args(option))
            found += {bool: ["true", "false"], type(None): ["null"]}.get(option, [])
        return found if found != ["null"] else []


def keys_of(schema: type | None, values: Mapping[str, Any], prefix: str = "") -> Iterator[Key]:
    """Yield the keys of a node, each followed by the keys below it, described by the schema or class."""
    schema = _target_of(values) or schema
    hints, lines = _described(schema) if schema else ({}, {})
    for name, value in values.items():
        if name == "_target_":
            continue
        key = Key(f"{prefix}{name}", value, hints.get(name), lines.get(name, ""))
        yield key
        if not key.is_node:
            continue
        below = node_class(key.annotation)
        if get_origin(key.annotation) is dict and (element := node_class(get_args(key.annotation)[1])):
            for inner, node in value.items():
                cls = _target_of(node)
                line = inspect.getdoc(cls) or "" if cls else ""
                yield Key(f"{key.name}.{inner}", node, element, line.partition("\n")[0])
                yield from keys_of(element, node, f"{key.name}.{inner}.")
        else:
            yield from keys_of(below, value, f"{key.name}.")


def annotations_at(schema: type, values: Mapping[Any, Any], path: Sequence[str | int | None]) -> list[Any]:
    """Return the possible annotations at a path, without constraints; an empty list if the schema has none.

    `values` is the whole configuration as plain data; its `_target_` nodes give the classes along the path. None in a
    path denotes the keys of a mapping.
    """
    node: Any = values
    found = [schema]
    for name in path:
        found = [inner for annotation in found for inner in _below(annotation, node, name)]
        if isinstance(node, list):
            node = dict(enumerate(node)).get(int(str(name))) if str(name).isdecimal() else None
        else:
            node = node.get(name) if isinstance(node, Mapping) else None
    return found


def with_codes(annotation: Any, value: Any, words: Mapping[YamlPath, str], path: YamlPath = ()) -> Any:
    """Return plain data with true and false replaced by language codes where the annotation requires a language.

    `words` are the original words in YAML files, such as `no`, by path; a false without one is `no`, Norwegian.
    """
    if annotation == Language:
        return _code(value, words.get(path)) if isinstance(value, bool) else value
    if get_origin(annotation) is Annotated:
        return with_codes(get_args(annotation)[0], value, words, path)
    for option in alternatives(annotation):
        origin, arguments = get_origin(option), get_args(option)
        if isinstance(value, list) and origin is list:
            value = [with_codes(arguments[0], item, words, (*path, index)) for index, item in enumerate(value)]
        elif isinstance(value, Mapping) and origin is dict:
            value = {
                with_codes(arguments[0], name, words, (*path, None, name)): with_codes(
                    arguments[1], item, words, (*path, name)
                )
                for name, item in value.items()
            }
        elif isinstance(value, Mapping) and (cls := _target_of(value) or node_class(option)):
            hints = _hints(cls)
            value = {name: with_codes(hints.get(name), item, words, (*path, name)) for name, item in value.items()}
        elif get_origin(option) is Annotated:
            value = with_codes(option, value, words, path)
    return value


def _code(value: bool, word: str | None) -> bool | str:
    """Return the language code spelled like a YAML boolean; the value itself if the word is `true` or `false`."""
    if word is None:
        return value or "no"
    return value if word.lower() in ("true", "false") else word.lower()


def _below(annotation: Any, node: Any, name: str | int | None) -> tuple[Any, ...]:
    """Return the annotations below another, which is not a union, at a key or index."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list and str(name).isdecimal():
        return members(arguments[0])
    if origin is dict:
        return members(arguments[name is not None])
    cls = _target_of(node) or (annotation if hasattr(annotation, "__dataclass_fields__") else None)
    if cls is None:
        return ()
    hints = _hints(cls)
    return (str,) if name is None else members(hints.get(str(name), hints.get(other_keywords(cls))))


def _target_of(values: Any) -> type | None:
    """Return the class in a node's `_target_`, if it is allowed and can be imported."""
    target = values.get("_target_") if isinstance(values, Mapping) else None
    if not isinstance(target, str) or not is_allowed(target, ["bisum", *allowed_targets()]):
        return None
    try:
        return locate(target)
    except UserError:
        return None


def _described(cls: type) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the annotations of a class's parameters, and the docstrings of its fields and those of its bases."""
    lines: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            (tree,) = ast.parse(inspect.getsource(base)).body
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for item, below in pairwise(body):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and isinstance(below, ast.Expr):
                lines[item.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return _hints(cls), lines


def _hints(cls: type) -> dict[str, Any]:
    try:
        return signature_hints(cls)
    except NameError:
        return {}


def _written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return "{}" if isinstance(value, Mapping) else str(value).replace("\n", "\\n")
