"""The keys of a composed configuration, each with its value, type and description."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from bisum.config.annotations import MISSING, alternatives, expected, node_class, signature_hints
from bisum.config.targets import allowed_targets, is_allowed, locate
from bisum.errors import UserError


@dataclass(frozen=True)
class Key:
    """A key of a configuration."""

    name: str
    """The dotted name, such as `trainer.epochs`."""
    value: Any
    """Plain data; a mapping if keys stand below this one."""
    annotation: Any
    """The annotation in the schema; None if it has none."""
    line: str
    """What it changes, from the schema."""

    @property
    def is_node(self) -> bool:
        """Whether keys stand below it."""
        return isinstance(self.value, Mapping) and bool(self.value)

    @property
    def shown(self) -> str:
        """The value as a user would type it."""
        return "(needed)" if self.value == MISSING else _written(self.value)

    @property
    def expected(self) -> str:
        """What the value must be, in words."""
        return expected(self.annotation) if self.annotation is not None else ""

    @property
    def choices(self) -> list[str]:
        """The values that it may have, if they can be listed."""
        found: list[str] = []
        for option in alternatives(self.annotation):
            if get_origin(option) is Literal:
                found += map(str, get_args(option))
            found += {bool: ["true", "false"], type(None): ["null"]}.get(option, [])
        return found if found != ["null"] else []


def keys_of(schema: type | None, values: Mapping[str, Any], prefix: str = "") -> Iterator[Key]:
    """Yield the keys of a node, each followed by those below it, as the schema and the classes describe them."""
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


def _target_of(values: Any) -> type | None:
    """Return the class that a node names, if it may be imported."""
    target = values.get("_target_") if isinstance(values, Mapping) else None
    if not isinstance(target, str) or not is_allowed(target, ["bisum", *allowed_targets()]):
        return None
    try:
        return locate(target)
    except UserError:
        return None


def _described(cls: type) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the annotations of a class's parameters, and the text under each of its fields and its bases'."""
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
    try:
        return signature_hints(cls), lines
    except NameError:
        return {}, lines


def _written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return "{}" if isinstance(value, Mapping) else str(value).replace("\n", "\\n")
