"""Defaults for callers from Python, read from `conf/`, the only place that states them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's C parser, if installed; it is eight times as fast as the Python parser of `OmegaConf.load`."""


# Like OmegaConf, and unlike PyYAML, read 4e-4 as a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def conf_directory() -> Path:
    """Return the folder of bisum's YAML files, which is inside an installed package but beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def conf_values(text: str) -> dict[str, Any]:
    """Return the keys and values in the text of a file in `conf/`, with interpolations unresolved."""
    return yaml.load(text, Loader=_Loader) or {}


def defaults_of(file: str, resolve: bool = True) -> dict[str, Any]:
    """Return the contents of a file in `conf/`, named without suffix, such as `corpus/_base`."""
    values = conf_values((conf_directory() / f"{file}.yaml").read_text(encoding="utf-8"))
    if not resolve:
        return values
    from omegaconf import OmegaConf  # imported here, since composed configurations do not need it

    resolved = OmegaConf.to_container(OmegaConf.create(values), resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def options_with(group: str, key: str) -> list[str]:
    """Return the options in `conf/GROUP/` whose file, or a file it inherits from, sets a key."""
    files = sorted((conf_directory() / group).glob("[!_]*.yaml")) if group else []
    return [file.stem for file in files if key in _inherited_keys(group, file.stem)]


def _inherited_keys(group: str, option: str) -> set[str]:
    values = defaults_of(f"{group}/{option}", resolve=False)
    listed = [parent for parent in values.pop("defaults", []) if isinstance(parent, str)]
    parents = [parent for parent in listed if parent != "_self_" and "@" not in parent]  # @: another node's keys
    return {*values}.union(*(_inherited_keys(group, parent) for parent in parents))


@dataclass(frozen=True)
class ConfDefault:
    """A dataclass field's `default_factory` that reads the default from a file in `conf/`.

    It is only for callers from Python: a configuration states every key, to make its record complete.
    """

    file: str
    """Relative to `conf/`, without suffix, such as `corpus/_base`."""
    key: str
    build: Callable[..., Any] | None = None
    """Function to call with the items of a mapping as keyword arguments; None: the value itself is the default."""

    def __call__(self) -> Any:
        """Return the default."""
        value = defaults_of(self.file)[self.key]
        return value if self.build is None else self.build(**value)


def from_conf(file: str, key: str, build: Callable[..., Any] | None = None) -> Any:
    """Return a dataclass field with the value of `key` in a file in `conf/` as its default."""
    return field(default_factory=ConfDefault(file, key, build))


def conf_default(cls: type, name: str) -> ConfDefault | None:
    """Return the default that a dataclass's field reads from `conf/`; None if it has another or no default."""
    fields = getattr(cls, "__dataclass_fields__", {})
    default = fields[name].default_factory if name in fields else None
    return default if isinstance(default, ConfDefault) else None
