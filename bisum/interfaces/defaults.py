"""Defaults that `conf/` states, read from there for callers from Python, so that each is written once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def conf_directory() -> Path:
    """Return the folder of bisum's own YAML files: inside the package as installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


@dataclass(frozen=True)
class ConfDefault:
    """A dataclass field's `default_factory` that reads the default from a file of `conf/`.

    It serves callers from Python alone. A configuration states every key, so that its record is whole.
    """

    file: str
    """Relative to `conf/`, without suffix, such as `corpus/_settings`."""
    key: str
    build: Callable[..., Any] | None = None
    """Called with the keys of a mapping; None: the value itself is the default."""

    def __call__(self) -> Any:
        """Return the default."""
        from omegaconf import OmegaConf  # here, since the configuration needs none of these defaults

        values = OmegaConf.to_container(OmegaConf.load(conf_directory() / f"{self.file}.yaml"), resolve=True)
        assert isinstance(values, dict)
        value = values[self.key]
        return value if self.build is None else self.build(**value)


def from_conf(file: str, key: str, build: Callable[..., Any] | None = None) -> Any:
    """Return a dataclass field whose default is what a file of `conf/` says of `key`."""
    return field(default_factory=ConfDefault(file, key, build))
