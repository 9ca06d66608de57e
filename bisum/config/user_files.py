"""A configuration source for Hydra that reads and checks the YAML files in the user's folders."""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, ListConfig, OmegaConf

from bisum.config.hydra_keys import check_given
from bisum.config.yaml_files import MAX_LEVELS, yaml_config, yaml_text
from bisum.errors import UserError, printable, shown

SCHEME = "bisum"
_EXTENSION = ".yaml"
_MAX_DEFAULTS = 100
"""Limit on the entries of a defaults list."""
_MAX_LOADS = 1000
"""Limit on the files that a file's defaults lists load, directly or not; a file in two lists counts twice."""


@dataclass(frozen=True)
class LoadedFile:
    """A user's YAML file that Hydra has loaded."""

    path: Path
    text: str
    package: tuple[str, ...]
    """The path of the node that contains the file's keys."""
    included: list[str]
    """The files in its defaults list, by their configuration names."""


class UserFiles(ConfigSource):
    """The YAML files in a user's folder."""

    loaded: ClassVar[dict[str, LoadedFile]] = {}
    """The files loaded since Hydra started, by their configuration names, such as experiment/e."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self._loads: dict[str, int] = {}
        self.path = os.path.abspath(self.path.removeprefix("file://"))  # noqa: PTH100 - keeps symbolic links

    @staticmethod
    def scheme() -> str:
        """Return the URL scheme of the folders."""
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Read and check a file; raises `UserError` if it is invalid."""
        path = self._file(config_path)
        config = yaml_config(text := yaml_text(path), path)
        try:
            header = self._get_header_dict(text)
        except ValueError as error:
            raise UserError(f"{printable(str(path))}: its header cannot be read: {error}") from error
        name = config_path.removesuffix(_EXTENSION)
        package = _package(header["package"], name.rpartition("/")[0])
        values = OmegaConf.to_container(config)
        assert isinstance(values, dict)
        for problem in _problems_of_defaults(values.get("defaults", []), package):
            raise UserError(f"{printable(str(path))}: {problem}")
        if (count := self._count_loads(name, ())) > _MAX_LOADS:
            raise UserError(
                f"{printable(str(path))}: its defaults lists load {count:,} files; the limit is {_MAX_LOADS:,}"
            )
        self.loaded[name] = LoadedFile(path, text, package, list(_included(name, values.get("defaults"))))
        if lines := check_given(_hydra_node(values, package)):
            raise UserError("\n".join(f"{printable(str(path))}: {line}" for line in lines))
        holder: Any = {(): config.get("hydra"), ("hydra",): config}.get(package)
        if isinstance(holder, DictConfig) and isinstance(searched := holder.get("searchpath"), ListConfig):
            holder.searchpath = [guarded(str(entry)) for entry in searched]
        return ConfigResult(provider=self.provider, path=self.full_path(), config=config, header=header)

    def _count_loads(self, name: str, above: tuple[str, ...]) -> int:
        """Return the number of files that Hydra would load for a file, including itself."""
        if name not in self._loads and name not in above and len(above) < _MAX_LOADS // 4:
            path, below = self._file(name), []
            with suppress(UserError):  # raised when Hydra loads that file
                if path.is_file():
                    values = OmegaConf.to_container(yaml_config(yaml_text(path), path))
                    below = [*_included(name, values.get("defaults"))] if isinstance(values, dict) else []
            self._loads[name] = 1 + sum(self._count_loads(other, (*above, name)) for other in below)
        return self._loads.get(name, 1)

    def available(self) -> bool:
        """Return whether the folder exists."""
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        """Return whether the folder exists below this one."""
        return Path(self.path, config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Return whether the file exists, readable or not."""
        path = self._file(config_path)
        return os.path.lexists(path) and not path.is_dir()

    def list(self, config_path: str, results_filter: ObjectType | None) -> builtins.list[str]:
        """Return the names of the folders and files below a folder."""
        return sorted(set(self._below(Path(self.path, config_path), results_filter)))

    @staticmethod
    def _below(folder: Path, wanted: ObjectType | None) -> Iterator[str]:
        try:
            entries = [*os.scandir(folder)]
        except OSError as error:
            raise UserError(f"{printable(str(folder))}: cannot be read: {error.strerror or error}") from error
        for entry in entries:
            if entry.is_dir():
                if wanted in (None, ObjectType.GROUP) and entry.name != "__pycache__":
                    yield entry.name
            elif wanted in (None, ObjectType.CONFIG) and entry.name.endswith(_EXTENSION):
                yield entry.name.removesuffix(_EXTENSION)

    def _file(self, config_path: str) -> Path:
        return Path(self.path, f"{config_path.removesuffix(_EXTENSION)}{_EXTENSION}")


def guarded(entry: str) -> str:
    """Return an entry of `hydra.searchpath`, changed to let bisum read it if it is a folder."""
    return f"{SCHEME}://{entry}" if entry.rpartition("://")[0] in ("", "file") else entry


def with_guarded_folders(override: Override) -> Override:
    """Return a command-line argument, changed to let bisum read the folders in `hydra.searchpath`."""
    value = override.value()
    if override.key_or_group != "hydra.searchpath" or not isinstance(value, list):
        return override
    quoted = [QuotedString(guarded(entry), Quote.single) if isinstance(entry, str) else entry for entry in value]
    return replace(override, _value=quoted, input_line=None)


def unguard(hydra: DictConfig, arguments: Sequence[str]) -> None:
    """Restore the original folders and `hydra` arguments in a composed `hydra` node."""
    searched = OmegaConf.to_container(hydra.searchpath)
    assert isinstance(searched, list)
    hydra.searchpath = [str(entry).removeprefix(f"{SCHEME}://") for entry in searched]
    for source in hydra.runtime.config_sources:
        source["schema"] = "file" if source["schema"].startswith(SCHEME) else source["schema"]
    hydra.overrides.hydra = list(arguments)


def defaults_circle() -> str | None:
    """Return a line about a circular defaults list among the loaded files; None if no file is loaded."""
    for name, file in UserFiles.loaded.items():
        came_from = {name: ""}
        ahead = [name]
        while ahead:
            here = ahead.pop()
            for below in UserFiles.loaded[here].included if here in UserFiles.loaded else []:
                if below == name:
                    path = [here, name]
                    while (before := came_from[path[0]]) != "":
                        path.insert(0, before)
                    return f"{printable(str(file.path))}: circular defaults list: {' -> '.join(path)}"
                if below not in came_from:
                    came_from[below] = here
                    ahead.append(below)
    if UserFiles.loaded:  # circular through one of bisum's files, or not circular
        last = [*UserFiles.loaded.values()][-1]
        return f"{printable(str(last.path))}: circular or too deeply nested defaults list"
    return None


def _problems_of_defaults(defaults: Any, package: tuple[str, ...]) -> Iterator[str]:
    """Yield the format errors in a file's defaults list and package."""
    if len(package) > MAX_LEVELS:
        yield f"its package has {len(package):,} parts; the limit is {MAX_LEVELS}"
    if not isinstance(defaults, list):
        yield f"defaults: expected a list, such as [_self_], not {shown(defaults)}"
        return
    if len(defaults) > _MAX_DEFAULTS:
        yield f"defaults: {len(defaults):,} entries; the limit is {_MAX_DEFAULTS}"
    for entry in defaults:
        options = next(iter(entry.values())) if isinstance(entry, dict) and len(entry) == 1 else entry
        texts = options if isinstance(options, list) and isinstance(entry, dict) else [options]
        if not all(isinstance(text, str) or (text is None and isinstance(entry, dict)) for text in texts):
            yield f"defaults: expected a name or 'group: option', not {shown(entry)}"


def _included(name: str, defaults: Any) -> Iterator[str]:
    """Yield the names of the files in a defaults list, without entries that override a choice."""
    group = name.rpartition("/")[0]
    for entry in defaults if isinstance(defaults, list) else []:
        inner, options = next(iter(entry.items())) if isinstance(entry, dict) and entry else ("", entry)
        arguments = str(inner).split()
        if "override" in arguments:
            continue
        for option in options if isinstance(options, list) else [options]:
            parts = [arguments[-1].partition("@")[0]] if arguments else []
            path = "/".join([*parts, str(option).partition("@")[0]])
            yield path[1:] if path.startswith("/") else f"{group}/{path}".lstrip("/")


def _package(header: str | None, group: str) -> tuple[str, ...]:
    """Return the path of the node that contains a file's keys, from its header or its group."""
    package = (header or "_group_").replace("_global_", "").replace("_group_", group)
    return tuple(filter(None, re.split("[./]", package)))


def _hydra_node(values: Any, package: tuple[str, ...]) -> Any:
    """Return the part of a file's values below `hydra`; an empty mapping if there is none."""
    for name in reversed(package):
        values = {name: values}
    return {} if values.get("hydra") is None else values["hydra"]
