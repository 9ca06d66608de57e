"""Compose the arguments of a command line into an unchecked configuration.

Hydra composes the groups and its own node; keys are then set on a copy, so jobs of a sweep with the same options share
one composition. The result equals Hydra's own composition of all arguments.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_origin

from hydra.conf import HydraConf
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bisum.config.annotations import signature_hints, takes_text
from bisum.config.checking import LIST_GROUPS, OPTIONAL_GROUPS, listing
from bisum.config.hydra_app import compose_with_hydra, group_names, group_options, start_hydra
from bisum.config.hydra_keys import refuse_wrong_arguments
from bisum.config.hydra_node import check_hydra_node
from bisum.config.hydra_safety import plain_node
from bisum.config.messages import explain
from bisum.config.overrides import apply_override, parse_overrides, set_key
from bisum.config.reference import annotations_at, with_codes
from bisum.config.schema import SCHEMAS
from bisum.config.typed_text import Number, argument_for_hydra, has_numbers, settled, typed, valued
from bisum.config.typed_text import Path as KeyPath
from bisum.config.user_files import UserFiles, defaults_circle, unguard, with_guarded_folders
from bisum.config.yaml_booleans import original_words
from bisum.errors import UserError, reason, without_secrets
from bisum.interfaces.defaults import conf_directory

REQUIRED_GROUPS = ("corpus", "model", "adapter", "trainer", "hardware", "tracker")
"""Groups that cannot be null."""


class Composer:
    """Composes one primary configuration (`train`, `baseline`) from bisum's and the user's YAML files."""

    def __init__(self, command: str, config_dir: str | None = None) -> None:
        start_hydra(config_dir)
        self.command = command
        self.config_dir = config_dir
        self._folders = [*([Path(config_dir).resolve()] if config_dir else []), conf_directory()]
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    @cached_property
    def group_names(self) -> list[str]:
        """Names of bisum's and the user's groups."""
        return group_names()

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """Options of bisum's and the user's groups."""
        return {name: group_options(name) for name in self.group_names}

    def parse(self, arguments: Sequence[str]) -> list[Override]:
        """Return the arguments parsed by Hydra's grammar; raises `UserError` for one that it cannot read."""
        return parse_overrides(arguments)

    def compose(self, overrides: Sequence[Override], *, shared: bool = False) -> DictConfig:
        """Return the composed configuration of one job, including the `hydra` node.

        `shared`: keep Hydra's composition for further jobs with the same options.

        Raises:
            UserError: an override or a YAML file is wrong; one line.
        """
        # Hydra's grammar accepts no null for a group, although it is the default of some.
        overrides = _without_null_options(overrides)
        self._search(overrides)
        for override in overrides:
            self._check_option(override)
        refuse_wrong_arguments(self.settled(overrides, OmegaConf.create()))
        composed = self._compose_groups(overrides, RunMode.RUN)
        if shared:
            composed = copy.deepcopy(composed)
        else:
            self._composed.clear()
        overrides = self._settled_on_trial(overrides, composed)
        for override in overrides:
            if not self._is_hydras(override):
                self._refuse_several(composed, override)
                apply_override(composed, override)
        self._name_languages(composed)
        _refuse_partial_search(composed)
        self._refuse_ineffective_overrides(composed, overrides)
        keys = {override.key_or_group for override in overrides}
        # An option's revision belongs to its own checkpoint.
        if "model.checkpoint" in keys and "model.revision" not in keys:
            OmegaConf.update(composed, "model.revision", None, force_add=True)
        own = [override for override in overrides if not override.is_hydra_override()]
        composed.hydra.overrides.task = [typed(override) for override in own]
        self._name_directory(composed.hydra, own)
        check_hydra_node(composed.hydra, of_job=True)
        return composed

    def compose_sweep(self, overrides: Sequence[Override]) -> DictConfig:
        """Return the configuration shared by the jobs of a sweep: its arguments, composed without the swept keys."""
        overrides = _without_null_options(overrides)
        self._search(overrides)
        refuse_wrong_arguments(self.settled(overrides, OmegaConf.create()))
        is_swept = any(override.is_sweep_override() for override in overrides if self._is_hydras(override))
        mode = RunMode.MULTIRUN if is_swept else RunMode.RUN
        composed = copy.deepcopy(self._compose_groups(overrides, mode))
        # A deleted key can belong to a swept option.
        kept = [override for override in overrides if not (override.is_sweep_override() or override.is_delete())]
        for override in self._settled_on_trial(kept, composed):
            if not self._is_hydras(override):
                apply_override(composed, override)
        _refuse_partial_search(composed)
        self._refuse_ineffective_overrides(composed, overrides)
        check_hydra_node(composed.hydra, of_job=False)
        composed.hydra.mode = RunMode.MULTIRUN
        composed.hydra.overrides.task = [typed(o) for o in overrides if not o.is_hydra_override()]
        return composed

    def settled(self, overrides: Sequence[Override], composed: DictConfig) -> list[Override]:
        """Return overrides with numbers as text wherever the schema of the composed configuration requires text."""
        values = OmegaConf.to_container(composed)
        assert isinstance(values, dict)

        def is_text(path: KeyPath, number: Number) -> bool:
            schema, below = (HydraConf, path[1:]) if path[0] == "hydra" else (SCHEMAS[self.command], path)
            return takes_text(annotations_at(schema, values, below), number.text, number.value)

        return [
            settled(override, (lambda *_: True) if self._is_option(override) else is_text) for override in overrides
        ]

    def values(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the composed configuration as plain data, unchecked."""
        composed = self.compose(self.parse(arguments))
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
        """bisum's files that the user's folder replaces; that folder is searched first."""
        own, *theirs = reversed(self._folders)
        found = [path.relative_to(own) for path in sorted(own.rglob("*.yaml"))]
        return [str(path) for folder in theirs for path in found if (folder / path).exists()]

    def _search(self, overrides: Sequence[Override]) -> None:
        """Add the groups in the folders that arguments add to the search path."""
        searched = [override for override in overrides if override.key_or_group == "hydra.searchpath"]
        if searched and all(_is_text_list(override.value()) for override in searched):
            self.group_names = group_names(self.command, self._arguments_for_hydra(searched))

    def _is_hydras(self, override: Override) -> bool:
        """Return whether an argument is for Hydra: it chooses an option or sets a key of Hydra's own node."""
        return self._is_option(override) or override.key_or_group == "hydra" or override.is_hydra_override()

    def _is_option(self, override: Override) -> bool:
        """Return whether an argument chooses an option."""
        key = override.key_or_group
        if key in self.group_names and override.package is None and isinstance(override.value(), dict):
            return False  # a mapping is merged into the node, in argument order
        return override.package is not None or "/" in key or key in self.group_names

    def _arguments_for_hydra(self, overrides: Sequence[Override]) -> list[str]:
        settled = self.settled(overrides, OmegaConf.create())
        return [argument_for_hydra(with_guarded_folders(override)) for override in settled]

    def _settled_on_trial(self, overrides: Sequence[Override], composed: DictConfig) -> list[Override]:
        """Settle overrides against a trial composition of Hydra's reading of them."""
        if not any(map(has_numbers, overrides)):
            return list(overrides)
        trial = copy.deepcopy(composed)
        for override in overrides:
            if not (self._is_hydras(override) or override.is_sweep_override()):
                apply_override(trial, valued(override))
        return self.settled(overrides, trial)

    def _compose_groups(self, overrides: Sequence[Override], mode: RunMode) -> DictConfig:
        """Let Hydra compose its arguments; keep the result, since most jobs share it."""
        arguments = tuple(self._arguments_for_hydra([override for override in overrides if self._is_hydras(override)]))
        key = (mode.name, *arguments)
        if key not in self._composed:
            try:
                composed = compose_with_hydra(self.command, arguments, mode)
            except UserError:
                raise
            except Exception as error:  # Hydra raises many kinds of errors
                swept = re.search(r"Ambiguous value for argument '\+*(.*?)=", str(error))
                if swept:
                    raise UserError(_several(swept[1], takes_list=swept[1] in LIST_GROUPS)) from error
                if isinstance(error, RecursionError) and (circle := defaults_circle()):
                    raise UserError(circle) from error
                if isinstance(error, HydraException | OmegaConfBaseException | YAMLError | ValueError | KeyError):
                    raise UserError(explain(error, self.group_names, group_options)) from error
                raise UserError(f"{' '.join(arguments)}: Hydra cannot compose these ({reason(error)})") from error
            if not OmegaConf.is_dict(composed.get("hydra")):
                raise UserError("hydra: expected a mapping of Hydra's own keys")
            for group in REQUIRED_GROUPS:
                if mode == RunMode.RUN and composed.hydra.runtime.choices.get(group) in (None, "null"):
                    self._refuse_null(group)
            about_hydra = [override for override in overrides if override.is_hydra_override()]
            unguard(composed.hydra, [argument_for_hydra(o) for o in self.settled(about_hydra, OmegaConf.create())])
            self._composed[key] = composed
        return self._composed[key]

    def _check_option(self, override: Override) -> None:
        """Refuse a list or null where one option is required."""
        group = override.key_or_group
        if group not in self.group_names or override.is_sweep_override():
            return
        value = override.value()
        if isinstance(value, list) and not (
            group in LIST_GROUPS and all(isinstance(name, str | int | float) for name in value)
        ):
            raise UserError(f"{typed(override)}: not an option (valid: {listing(self.groups[group])})")
        if value is None and not override.is_delete() and group not in OPTIONAL_GROUPS:
            self._refuse_null(group)
        if any(str(name).startswith("_") for name in (value if isinstance(value, list) else [value])):
            raise UserError(f"{typed(override)}: no such option (valid: {listing(self.groups[group])})")

    def _refuse_null(self, group: str) -> None:
        hints = {"filter": "use filter=[] to keep all rows", "metric": "use metric=[] for ROUGE only"}
        hint = hints.get(group, "this group is required")
        raise UserError(f"{group}=null: {hint} (valid: {listing(self.groups[group])})")

    def _refuse_several(self, composed: DictConfig, override: Override) -> None:
        """Refuse several values for a key outside a sweep; suggest a list if the schema accepts one."""
        if not override.is_sweep_override():
            return
        values = OmegaConf.to_container(composed)
        assert isinstance(values, dict)
        key = override.key_or_group
        options = annotations_at(SCHEMAS[self.command], values, key.split("."))
        raise UserError(_several(key, takes_list=any(get_origin(option) is list for option in options)))

    def _name_languages(self, composed: DictConfig) -> None:
        """Restore the language codes that YAML reads as true or false, such as `no`."""
        values = OmegaConf.to_container(composed)
        assert isinstance(values, dict)
        schema: type = SCHEMAS[self.command]
        booleans = original_words(self._chosen_files(composed))
        for key, annotation in signature_hints(schema).items():
            if (named := with_codes(annotation, values.get(key), booleans, (key,))) != values.get(key):
                set_key(composed, key, named, merge=False)

    def _refuse_ineffective_overrides(self, composed: DictConfig, overrides: Sequence[Override]) -> None:
        """Refuse a user's file that overrides one of Hydra's groups; `conf/train.yaml` takes precedence over it."""
        given = {override.key_or_group for override in overrides}
        for text, _ in self._chosen_files(composed):
            for group, option in re.findall(r"^\s*-\s*override\s+/?(hydra/\w+)\s*:\s*(\w+)", text, re.MULTILINE):
                if group not in given and composed.hydra.runtime.choices.get(group) not in (None, option):
                    raise UserError(f"{group}: cannot be chosen in a file; give {group}={option} on the command line")

    def _chosen_files(self, composed: DictConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the chosen files of the user, with their packages, in the order they apply."""
        choices = {"": self.command, **composed.hydra.runtime.choices}
        for group in sorted(
            choices, key=lambda group: OPTIONAL_GROUPS.index(group) if group in OPTIONAL_GROUPS else -1
        ):
            chosen = choices[group]
            for option in chosen if isinstance(chosen, list | ListConfig) else [chosen]:
                if file := UserFiles.loaded.get(f"{group}/{option}".lstrip("/")):
                    yield file.text, file.package

    @staticmethod
    def _name_directory(hydra: DictConfig, overrides: Sequence[Override]) -> None:
        """Set `hydra.job.override_dirname`, which `hydra.run.dir` can use; Hydra 1.4 resolves it by itself."""
        job = hydra.job
        if OmegaConf.is_missing(job, "override_dirname") or not OmegaConf.is_interpolation(job, "override_dirname"):
            settings = plain_node(hydra, "job", "config", "override_dirname")
            arguments = sorted(
                without_secrets(typed(o)) for o in overrides if o.key_or_group not in settings["exclude_keys"]
            )
            try:
                job.override_dirname = re.sub("=", settings["kv_sep"], settings["item_sep"].join(arguments))
            except re.error as error:  # Hydra treats it as a replacement pattern
                raise UserError(f"hydra.job.config.override_dirname.kv_sep: {error}") from error


def task_arguments(composed: DictConfig) -> list[str]:
    """Return the arguments of a composed job, without those for Hydra's own node."""
    arguments = OmegaConf.to_container(composed.hydra.overrides.task)
    assert isinstance(arguments, list)
    return arguments


def _without_null_options(overrides: Sequence[Override]) -> list[Override]:
    """Drop arguments such as `experiment=null`, and the options that they override."""
    dropped: set[int] = set()
    for group in OPTIONAL_GROUPS:
        given = [number for number, override in enumerate(overrides) if override.key_or_group == group]
        nulls = [number for number in given if typed(overrides[number]) == f"{group}=null"]
        dropped |= {number for number in given if nulls and number <= nulls[-1]}
    return [override for number, override in enumerate(overrides) if number not in dropped]


def _refuse_partial_search(composed: DictConfig) -> None:
    """Refuse search settings without a search, which needs an option of `hparams_search`."""
    given = OmegaConf.select(composed, "search", throw_on_resolution_failure=False)
    if OmegaConf.is_dict(given) and "sampler" not in given:
        raise UserError(f"search.{next(iter(given), '')}: only applies to a search; add hparams_search=optuna")


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _several(name: str, *, takes_list: bool) -> str:
    hint = f"write {name}=[a,b] for a list, or " if takes_list else ""
    return f"{name}: several values; {hint}add -m for one job per value"
