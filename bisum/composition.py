"""From command-line words to a checked configuration, with every mistake told in one line.

Hydra composes; `bisum.config` checks. Nothing here imports torch, transformers or datasets.
"""

from __future__ import annotations

import re
import secrets
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bisum.config import Config, check
from bisum.errors import UserError
from bisum.hydra_node import refuse_foreign_code
from bisum.mistakes import explain, one_line, unresolved_key

OmegaConf.register_new_resolver("bisum.id", lambda: secrets.token_hex(2), use_cache=True, replace=True)


def conf_directory() -> Path:
    """Return the folder of bisum's own YAML files: inside the package as installed, beside it in a checkout."""
    package = Path(__file__).parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


_REQUIRED_GROUPS = ("corpus", "model", "trainer", "hardware", "tracker")


class _Loader(ConfigLoaderImpl):
    """Hydra's loader, which leaves unknown keys to the schema: it knows every key's type and range besides."""

    def get_group_options(
        self, group_name: str, results_filter: ObjectType | None = ObjectType.CONFIG, *_: Any, **__: Any
    ) -> list[str]:
        """Return a group's options; a name that begins with _ is what several share, not an option."""
        options = self.repository.get_group_options(group_name, results_filter)  # Hydra's own makes a repository anew
        return [option for option in options if not option.startswith("_")]

    def load_configuration(
        self, config_name: str | None, overrides: list[str], *args: Any, **options: Any
    ) -> DictConfig:
        """Compose as Hydra does; the overrides are recorded as they were given."""
        parsed = OverridesParser.create(config_loader=self).parse_overrides(overrides)
        groups = self.list_groups("")
        # Hydra's parser takes no null for a group; experiment=null is the default all the same.
        parsed = [override for override in parsed if override.input_line != "experiment=null"]
        overrides = [override.input_line or "" for override in parsed]
        forced = [_forced(override, groups) for override in parsed]
        composed = super().load_configuration(config_name, forced, *args, **options)
        keys = {override.key_or_group for override in parsed}
        if "model.checkpoint" in keys and "model.revision" not in keys:  # an option's is that of its own checkpoint
            OmegaConf.update(composed, "model.revision", None, force_add=True)
        given = dict(zip(forced, overrides, strict=True))
        hydra = composed.hydra
        # Read unresolved: an interpolation among the overrides is for the check to judge.
        raw: Any = {name: OmegaConf.to_container(hydra[name], resolve=False) for name in ("overrides", "job")}
        hydra.overrides.task = [given[word] for word in raw["overrides"]["task"]]
        hydra.job.override_dirname = raw["job"]["override_dirname"].replace("++", "")
        return composed


def _forced(override: Override, groups: Sequence[str]) -> str:
    """Return `key=value` as `++key=value`, which sets a key whether it is there or not; other overrides as they are."""
    word, key = override.input_line or "", override.key_or_group
    is_group = override.package is not None or "/" in key or key in groups
    return word if is_group or override.is_hydra_override() or override.is_delete() else "++" + word.lstrip("+")


class Composer:
    """Composes one primary configuration (`train`, `baseline`) from bisum's and the user's YAML files."""

    def __init__(self, config_name: str, config_dir: str | None = None) -> None:
        self.config_name = config_name
        self._folders = [*([Path(config_dir).resolve()] if config_dir else []), conf_directory()]
        self.hydra = self._start(config_dir)

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The options of each group, bisum's and the user's."""
        loader = self.hydra.config_loader
        return {name: loader.get_group_options(name) for name in loader.list_groups("") if name != "hydra"}

    def values(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return what the overrides compose to, as plain data that nobody has checked."""
        composed = self.compose(overrides)
        with open_dict(composed):
            composed.pop("hydra")
        try:
            values = OmegaConf.to_container(composed, resolve=True)
        except OmegaConfBaseException:
            values = OmegaConf.to_container(composed)
        assert isinstance(values, dict)
        return {str(key): value for key, value in values.items()}

    def file(self, group: str, option: str) -> Path:
        """Return the YAML file of an option."""
        return next(path for folder in self._folders if (path := folder / group / f"{option}.yaml").is_file())

    @property
    def replaced(self) -> list[str]:
        """The files of bisum's own in whose place the user's folder, which is searched first, has others."""
        own, *theirs = reversed(self._folders)
        found = [path.relative_to(folder) for folder in theirs for path in sorted(folder.rglob("*.yaml"))]
        return [str(path) for path in found if (own / path).is_file()]

    @staticmethod
    def _start(config_dir: str | None) -> Hydra:
        search_path = create_config_search_path(str(conf_directory()))
        if config_dir is not None:
            folder = Path(config_dir).resolve()
            if not folder.is_dir():
                raise UserError(f"--config-dir: there is no folder '{config_dir}'")
            assert isinstance(search_path, ConfigSearchPathImpl)
            search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="main"))
        GlobalHydra.instance().clear()
        version.setbase("1.3")
        hydra = Hydra("bisum", _Loader(search_path))
        GlobalHydra.instance().initialize(hydra)
        return hydra

    def compose(self, overrides: Sequence[str], mode: RunMode = RunMode.RUN) -> DictConfig:
        """Return the composed configuration, `hydra` node included.

        Raises:
            UserError: an override or a YAML file is wrong; one line that names it and what would be right.
        """
        for override in self.parse(overrides):
            group = override.key_or_group
            value = override.value()
            if group in self.groups and isinstance(value, list) and (group != "filter" or None in value):
                raise UserError(f"{override.input_line}: not an option (valid: {', '.join(self.groups[group])})")
            if group in self.groups and value is None and not override.is_delete() and group != "experiment":
                self._refuse_null(group)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                composed = self.hydra.compose_config(self.config_name, list(overrides), run_mode=mode, from_shell=True)
        except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
            raise UserError(explain(error, self.hydra.config_loader, self.groups)) from error
        refuse_foreign_code(composed.hydra)
        for group in _REQUIRED_GROUPS:
            if composed.hydra.runtime.choices.get(group) in (None, "null"):
                self._refuse_null(group)
        return composed

    def _refuse_null(self, group: str) -> None:
        instead = "filter=[] keeps all rows" if group == "filter" else "one is needed"
        raise UserError(f"{group}=null: {instead} (valid: {', '.join(self.groups[group])})")

    def parse(self, overrides: Sequence[str]) -> list[Override]:
        """Return the overrides as Hydra's grammar reads them; raises UserError for one that it cannot read."""
        try:
            return OverridesParser.create(config_loader=self.hydra.config_loader).parse_overrides(list(overrides))
        except HydraException as error:
            raise UserError(explain(error, self.hydra.config_loader, self.groups)) from error

    def checked(self, overrides: Sequence[str]) -> Config:
        """Return the checked configuration of one job."""
        return checked(self.compose(overrides), self.config_name)

    def jobs(self, overrides: Sequence[str]) -> list[list[str]]:
        """Return the overrides of each job of a sweep; empty if the sweeper chooses them as it goes."""
        for override in self.parse(overrides):
            if override.is_discrete_sweep() and not list(override.sweep_string_iterator()):
                raise UserError(f"{override.key_or_group}: '{override.input_line}' matches nothing to sweep over")
        sweeper = self.compose(overrides, RunMode.MULTIRUN).hydra.sweeper
        try:
            if sweeper._target_ != f"{BasicSweeper.__module__}.{BasicSweeper.__name__}":
                return []
            parameters = self.parse([f"{key}={value}" for key, value in (sweeper.params or {}).items()])
            (jobs,) = BasicSweeper.split_arguments([*parameters, *self.parse(overrides)], max_batch_size=None)
        except HydraException as error:
            raise UserError(explain(error, self.hydra.config_loader, self.groups)) from error
        return [list(job) for job in jobs]


def checked(composed: DictConfig, name: str, hydra: Any = None) -> Config:
    """Return the checked configuration of a composed (or continued) one; `hydra` is its node of that name, if apart.

    Raises:
        UserError: a line for each thing that is wrong.
    """
    job = composed.copy()
    with open_dict(job):
        job.pop("hydra", None)
    try:
        values = OmegaConf.to_container(job, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{unresolved_key(job)}: {one_line(error)}") from error
    assert isinstance(values, dict)
    if "experiment" in values:
        raise UserError("experiment: its file must begin with the line '# @package _global_'")
    config = check({str(key): value for key, value in values.items()}, name)
    if (hydra := hydra or composed.get("hydra")) is not None:
        config.overrides = list(hydra.overrides.task)
        given = {word.lstrip("+").partition("=")[0] for word in config.overrides}
        options = {str(group): option for group, option in hydra.runtime.choices.items()}
        if {"run", "model.checkpoint"} & given and not {"model", "experiment"} & given:
            options["model"] = None  # only its limits are meant
        config.choices = {group: str(option) for group, option in options.items() if "/" not in group and option}
        config.sweep = None if OmegaConf.is_missing(hydra.job, "num") else Path(hydra.sweep.dir).name
    return config


def literal(value: Any) -> Any:
    """Return plain data whose texts OmegaConf takes as they are: `${` in them begins no interpolation."""
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [literal(item) for item in value]
    return re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", value) if isinstance(value, str) else value


def quoted(text: str) -> str:
    """Return a text as Hydra's grammar reads it back, quoted unless it is plainly a path."""
    plain = re.fullmatch(r"[\w.][\w.+-]*/[\w./+-]*|/[\w./+-]+", text, re.ASCII)
    return text if plain else QuotedString(literal(text), Quote.single).with_quotes()
