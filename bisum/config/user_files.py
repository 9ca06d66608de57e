"""The user's folders of YAML files, as a source of configurations for Hydra; bisum reads and checks each file."""

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
from bisum.config.yaml_files import MOST_LEVELS, yaml_config, yaml_text
from bisum.errors import UserError, printable, shown

SCHEME = "bisum"
_EXTENSION = ".yaml"
_MOST_DEFAULTS = 100
"""The most entries of a defaults list."""
_MOST_LOADS = 1000
"""The most files that the defaults lists below a file may lead to; one that two lists name counts twice."""


@dataclass(frozen=True)
class LoadedFile:
    """A YAML file of the user's, as Hydra got it."""

    path: Path
    text: str
    package: tuple[str, ...]
    """The keys under which the file's own keys stand."""
    included: list[str]
    """The files that its defaults list names, by their names in the configuration."""


class UserFiles(ConfigSource):
    """The YAML files below a folder of the user's."""

    loaded: ClassVar[dict[str, LoadedFile]] = {}
    """The files that Hydra asked for since it started, by their names in the configuration, such as experiment/e."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self._loads: dict[str, int] = {}
        self.path = os.path.abspath(self.path.removeprefix("file://"))  # noqa: PTH100 - links stay as they are

    @staticmethod
    def scheme() -> str:
        """Return the scheme of the folders' URLs."""
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file; raises `UserError` if it is wrong."""
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
        if (count := self._count_loads(name, ())) > _MOST_LOADS:
            raise UserError(
                f"{printable(str(path))}: its defaults lists load {count:,} files; the limit is {_MOST_LOADS:,}"
            )
        self.loaded[name] = LoadedFile(path, text, package, list(_included(name, values.get("defaults"))))
        if lines := check_given(_hydra_node(values, package)):
            raise UserError("\n".join(f"{printable(str(path))}: {line}" for line in lines))
        holder: Any = {(): config.get("hydra"), ("hydra",): config}.get(package)
        if isinstance(holder, DictConfig) and isinstance(searched := holder.get("searchpath"), ListConfig):
            holder.searchpath = [guarded(str(entry)) for entry in searched]
        return ConfigResult(provider=self.provider, path=self.full_path(), config=config, header=header)

    def _count_loads(self, name: str, above: tuple[str, ...]) -> int:
        """Return how many files Hydra would compose for a file: itself, and those that its defaults lists name."""
        if name not in self._loads and name not in above and len(above) < _MOST_LOADS // 4:
            path, below = self._file(name), []
            with suppress(UserError):  # raised when Hydra asks for that file
                if path.is_file():
                    values = OmegaConf.to_container(yaml_config(yaml_text(path), path))
                    below = [*_included(name, values.get("defaults"))] if isinstance(values, dict) else []
            self._loads[name] = 1 + sum(self._count_loads(other, (*above, name)) for other in below)
        return self._loads.get(name, 1)

    def available(self) -> bool:
        """Return whether the folder exists."""
        return self.is_group("")

    def is_group(self, config_path: str) -> bool:
        """Return whether there is a folder of that name."""
        return Path(self.path, config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Return whether there is a file of that name, readable or not."""
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
    """Return an entry of `hydra.searchpath` that makes bisum read the folder, if it is one."""
    return f"{SCHEME}://{entry}" if entry.rpartition("://")[0] in ("", "file") else entry


def with_guarded_folders(override: Override) -> Override:
    """Return an argument of a command line in which bisum reads the folders of `hydra.searchpath`."""
    value = override.value()
    if override.key_or_group != "hydra.searchpath" or not isinstance(value, list):
        return override
    quoted = [QuotedString(guarded(entry), Quote.single) if isinstance(entry, str) else entry for entry in value]
    return replace(override, _value=quoted, input_line=None)


def unguard(hydra: DictConfig, arguments: Sequence[str]) -> None:
    """Put back into a composed `hydra` node the folders, and the arguments about it, as they were written."""
    searched = OmegaConf.to_container(hydra.searchpath)
    assert isinstance(searched, list)
    hydra.searchpath = [str(entry).removeprefix(f"{SCHEME}://") for entry in searched]
    for source in hydra.runtime.config_sources:
        source["schema"] = "file" if source["schema"] == SCHEME else source["schema"]
    hydra.overrides.hydra = list(arguments)


def defaults_circle() -> str | None:
    """Return a line about a defaults list, of those that Hydra asked for, that leads back to its own file."""
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
                    return f"{printable(str(file.path))}: its defaults list leads back to itself: {' -> '.join(path)}"
                if below not in came_from:
                    came_from[below] = here
                    ahead.append(below)
    if UserFiles.loaded:  # the way back leads through a file of bisum's, or there is none
        last = [*UserFiles.loaded.values()][-1]
        return f"{printable(str(last.path))}: its defaults list is circular, or nested too deeply"
    return None


def _problems_of_defaults(defaults: Any, package: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with the form of a file's defaults list and package."""
    if len(package) > MOST_LEVELS:
        yield f"its package has {len(package):,} parts; the limit is {MOST_LEVELS}"
    if not isinstance(defaults, list):
        yield f"defaults: expected a list, such as [_self_], not {shown(defaults)}"
        return
    if len(defaults) > _MOST_DEFAULTS:
        yield f"defaults: {len(defaults):,} entries; the limit is {_MOST_DEFAULTS}"
    for entry in defaults:
        options = next(iter(entry.values())) if isinstance(entry, dict) and len(entry) == 1 else entry
        texts = options if isinstance(options, list) and isinstance(entry, dict) else [options]
        if not all(isinstance(text, str) or (text is None and isinstance(entry, dict)) for text in texts):
            yield f"defaults: expected a name or group: option, not {shown(entry)}"


def _included(name: str, defaults: Any) -> Iterator[str]:
    """Yield the names of the files that a file's defaults list names; an entry that overrides a choice names none."""
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
    """Return the keys under which a file's own keys stand, by its header or else by its group."""
    package = (header or "_group_").replace("_global_", "").replace("_group_", group)
    return tuple(filter(None, re.split("[./]", package)))


def _hydra_node(values: Any, package: tuple[str, ...]) -> Any:
    """Return the part of a file's values that stands below `hydra`; an empty mapping if there is none."""
    for name in reversed(package):
        values = {name: values}
    return {} if values.get("hydra") is None else values["hydra"]
