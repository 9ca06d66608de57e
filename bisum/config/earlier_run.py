"""The configuration of an earlier run with command-line arguments applied, as for `run=RUN`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.config.annotations import MISSING
from bisum.config.checking import OPTIONAL_GROUPS
from bisum.config.composition import REQUIRED_GROUPS, Composer, task_arguments
from bisum.config.identity import completed
from bisum.config.interpolations import check_expansion
from bisum.config.messages import one_line_of, unresolved_key
from bisum.config.model_source import model_of
from bisum.config.overrides import literal, set_key
from bisum.config.recording import record_of, refuse_incomplete, refuse_missing, restored
from bisum.config.schema import SCHEMAS, Config, TrainedModelConfig, check
from bisum.config.typed_text import typed, valued
from bisum.errors import UserError, without_secrets
from bisum.runs.record import read_record

_NOT_INHERITED = ("log", "resume", "sweep", "search", "debug")
_MODEL_KEYS = ("model", "languages", "generation", "evaluation", "hardware", "seed")
"""Keys needed to summarize texts; a run's other keys can refer to missing files or classes."""
_ROW_KEYS = ("split", "rows", "ids")


def based_on_run(
    composer: Composer, composed: DictConfig, overrides: Sequence[Override], sweep: str | None = None
) -> Config:
    """Return the checked configuration of composed arguments, based on the run in `run=`, if any.

    `sweep` is the name of the job's sweep, if any.

    Raises:
        UserError: a line for each problem.
    """
    if composer.command == "summarize":
        for override in overrides:
            if override.is_hydra_override():
                raise UserError(
                    f"'{typed(override)}': bisum summarize has no run directory, so Hydra's own settings do not apply"
                )
    if OmegaConf.select(composed, "resume", throw_on_resolution_failure=False) is not None:
        raise UserError("resume: give it on the command line of a single `bisum train`, not in YAML")
    run = _run(composed) if issubclass(SCHEMAS[composer.command], TrainedModelConfig) else None
    provenance = {**_provenance(composed, overrides), "sweep": sweep}
    if issubclass(SCHEMAS[composer.command], TrainedModelConfig):
        _refuse_adapter(overrides)
    if run is None:
        return _check(composed, composer.command, provenance)
    checkpoint, directory = model_of(run)
    _refuse_another_model(run, overrides, is_run=directory is not None)
    values = plain_values(composed)
    given = {override.key_or_group for override in overrides}
    if directory is None:
        if values["model"]["checkpoint"] is None or not {"model", "experiment"} & given:
            values["model"]["architecture"] = None
        for key, default in (("revision", None), ("pickled_weights", False)):
            if f"model.{key}" not in given:
                values["model"][key] = default
        values["model"]["checkpoint"] = literal(checkpoint)
        return _check(OmegaConf.create(values), composer.command, provenance)
    record = read_record(directory)
    recorded = recorded_values(record, directory / "run.json")
    base = {key: value for key, value in recorded.items() if key not in _NOT_INHERITED}
    if composer.command == "summarize":
        base.pop("metric", None)  # nothing is scored
    if composer.command == "summarize" and not any(values[key] for key in _ROW_KEYS):
        has_columns = "columns" in base["corpus"] and str(base["corpus"].get("_target_")).startswith("bisum.")
        kept = (*_MODEL_KEYS, "corpus") if has_columns else _MODEL_KEYS  # files can have the corpus's column names
        base = {key: value for key, value in base.items() if key in kept}
    values = replaced(composer, values, base, overrides)
    if composer.command != "summarize" or any(values[key] for key in _ROW_KEYS):
        refuse_incomplete(values, record)
    if "tracker" in base:
        refuse_folders(values, directory, given)
    values["model"] |= {"revision": None, "checkpoint": literal(checkpoint)}
    if "model.pickled_weights" not in given:
        values["model"]["pickled_weights"] = False  # only for the base of an adapter, and never by a record alone
    choices = {**record.get("choices", {}), **chosen_options(composed, overrides)}
    return check_values(composer, values, directory, overrides, {**provenance, "choices": choices})


def refuse_two_runs(overrides: Sequence[Override]) -> None:
    """Refuse arguments with two different runs; for any other key, the last value applies."""
    for key in ("run", "resume"):
        arguments = dict.fromkeys(typed(override).lstrip("+") for override in overrides if override.key_or_group == key)
        if len(arguments) > 1:
            first, second = [*arguments][:2]
            raise UserError(f"{key}: '{first}' conflicts with '{second}'; drop one")


def recorded_values(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the configuration of the record in a file, without sweep settings and the machine's cache folder."""
    refuse_missing(record, REQUIRED_GROUPS, path)
    values = completed(restored(record, literal))
    return {key: value for key, value in values.items() if key not in ("cache_dir", "sweep", "search")}


def refuse_folders(values: Mapping[str, Any], directory: Path, given: Collection[str]) -> None:
    """Refuse a folder to write to from an untrusted record, unless it contains tracker files."""
    folder = values["tracker"].get("directory") if isinstance(values["tracker"], Mapping) else None
    if folder is None or {"tracker", "tracker.directory"} & {*given}:
        return
    database = f"{re.sub(r'[^A-Za-z0-9_-]', '', str(values['tracker'].get('project')))}.db"  # trackio's name for it
    if not (Path(str(folder)).expanduser() / database).is_file():
        raise UserError(
            f"tracker.directory: '{folder}' from {directory / 'run.json'} contains no tracker files; to use it anyway, "
            f"add tracker.directory={folder}"
        )


def replaced(
    composer: Composer, composed: dict[str, Any], base: dict[str, Any], overrides: Sequence[Override]
) -> dict[str, Any]:
    """Return a run's configuration after overrides: `group=option` replaces a whole node, `key=value` one value.

    `base` is the run's configuration, or the part to keep; `composed` provides the other keys.
    """
    both = {**composed, **base}

    def after(overrides: Iterable[Override]) -> DictConfig:
        values = OmegaConf.create(both)
        for override in overrides:
            key, value = override.key_or_group, override.value()
            if not override.is_hydra_override():
                is_option = key in composer.groups and not isinstance(value, dict)
                new = composed[key] if is_option else list(value) if isinstance(value, tuple) else value
                set_key(values, key, new, merge=not is_option)
        return values

    trial = after(map(valued, overrides))
    return plain_values(after(composer.settled(overrides, trial)))


def _check(composed: DictConfig, command: str, provenance: dict[str, Any]) -> Config:
    """Check a composed configuration; raises `UserError` with a line for each problem."""

    check_expansion({str(key): value for key, value in plain_values(composed).items()})

    def resolve() -> dict[str, Any]:
        return {str(key): _resolved(composed, key) for key in composed if key != "hydra"}

    try:
        values = resolve()
    except OmegaConfBaseException as error:
        raise UserError(f"{unresolved_key(composed)}: {one_line_of(error)}") from error
    for group in OPTIONAL_GROUPS:
        if group in values and group not in SCHEMAS[command].__dataclass_fields__:
            raise UserError(f"{group}: begin its file with the line '# @package _global_'")
    recorded = record_of(values, resolve)
    try:
        return check(values, command, recorded, **provenance)
    except UserError as error:
        raise UserError(recorded.mask(str(error))) from error


def _resolved(composed: DictConfig, key: Any) -> Any:
    """Return a value as plain data, with interpolations resolved."""
    if OmegaConf.is_missing(composed, key):
        return MISSING
    value = composed[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def check_values(
    composer: Composer,
    values: dict[str, Any],
    directory: Path,
    overrides: Sequence[Override],
    provenance: dict[str, Any],
    file: str = "run.json",
) -> Config:
    """Check a run's configuration after overrides; attribute each problem to the record or the arguments."""
    try:
        return _check(OmegaConf.create(values), composer.command, provenance)
    except UserError as error:
        given = [rf"\b{re.escape(override.key_or_group)}\b" for override in overrides]
        lines = [
            line if any(re.search(key, line) for key in given) else f"{directory / file}: {line}"
            for line in str(error).splitlines()
        ]
        raise UserError("\n".join(lines)) from error


def _provenance(composed: DictConfig, overrides: Sequence[Override]) -> dict[str, Any]:
    """Return the provenance of a composed job."""
    given = {override.key_or_group for override in overrides}
    options = {str(group): option for group, option in composed.hydra.runtime.choices.items()}
    if {"run", "model.checkpoint"} & given and not {"model", "experiment"} & given:
        options["model"] = None  # the option provides only token limits
    return {
        "overrides": [without_secrets(argument) for argument in task_arguments(composed)],
        "choices": {group: str(option) for group, option in options.items() if "/" not in group and option},
    }


def plain_values(composed: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain data, with interpolations unresolved."""
    values = OmegaConf.to_container(composed)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items() if key != "hydra"}


def chosen_options(composed: DictConfig, overrides: Sequence[Override]) -> dict[str, str]:
    """Return the options chosen on the command line."""
    choices = composed.hydra.runtime.choices
    return {key: str(choices[key]) for override in overrides if (key := override.key_or_group) in choices}


def _run(composed: DictConfig) -> str | None:
    """Return the value of `run`; None if it is not a string."""
    try:
        run = OmegaConf.select(composed, "run")
    except OmegaConfBaseException:
        return None
    return run if isinstance(run, str) else None


def _refuse_adapter(overrides: Sequence[Override]) -> None:
    """Refuse arguments that set an adapter, which is trained and not chosen here."""
    for override in overrides:
        if override.key_or_group.partition(".")[0] == "adapter":
            raise UserError(f"'{typed(override)}': has no effect; the adapter of a checkpoint is used as it is")


def _refuse_another_model(run: str, overrides: Sequence[Override], *, is_run: bool) -> None:
    """Refuse arguments that choose another model than `run`, or that cannot apply to a run's configuration."""
    for override in overrides:
        key = override.key_or_group
        names_model = key == "model.checkpoint" or (
            is_run and (key in ("model", "model.revision") or key.startswith("model.architecture"))
        )
        if names_model:
            raise UserError(f"'{typed(override)}': conflicts with run '{run}', which already sets the model; drop one")
        if is_run and (key in OPTIONAL_GROUPS or override.is_delete()):
            raise UserError(
                f"'{typed(override)}': the run already has a configuration; change single keys, with key=value"
            )
