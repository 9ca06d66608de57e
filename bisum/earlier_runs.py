"""An earlier run's own configuration, with what the command line names replaced: `resume=RUN` and `run=RUN`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.composition import Composer, checked, literal
from bisum.config import SCHEMAS, Config, TrainedModelConfig
from bisum.errors import UserError
from bisum.records.checkpoint_files import OPTIMIZER, STATE, checkpoints_in, damage, epoch_name

_NEVER_EARLIER = ("cache_dir", "log", "resume")
_PLAIN_NODES = ("model", "generation", "evaluation", "hardware")
"""Nodes whose keys are bisum's own: what an older bisum did not know has its default."""
_OF_MODEL = ("model", "languages", "generation", "evaluation", "hardware", "seed")
"""Keys that texts are summarized with; the others of a run may name what is not there any longer."""
_ROWS = ("split", "rows", "ids")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def configure(composer: Composer, overrides: Sequence[str]) -> Config:
    """Return the checked configuration of a command line, based on the earlier run that it names, if it names one.

    After `run=`, `config.model.checkpoint` is the checkpoint to use and `config.run` what was given.

    Raises:
        UserError: a line for each thing that is wrong.
    """
    return configured(composer, composer.compose(overrides), overrides)


def configured(composer: Composer, composed: DictConfig, overrides: Sequence[str], hydra: Any = None) -> Config:
    """Return the same of what `overrides` compose to; `hydra` is its node of that name, if apart."""
    hydra = hydra or composed.hydra
    run = _run(composed) if issubclass(SCHEMAS[composer.config_name], TrainedModelConfig) else None
    if run is None:
        return checked(composed, composer.config_name, hydra)
    parsed = composer.parse(overrides)
    checkpoint, record = _model_of(run)
    _refuse_another_model(run, parsed, is_run=record is not None)
    values = _plain(composed)
    options = {str(group): option for group, option in hydra.runtime.choices.items()}
    if record is not None:
        base = {key: value for key, value in record["config"].items() if key not in _NEVER_EARLIER}
        if composer.config_name == "summarize" and not any(values[key] for key in _ROWS):
            base = {key: value for key, value in base.items() if key in _OF_MODEL}
            base["evaluation"] = {**base["evaluation"], "metrics": []}
        values = _replaced(composer, values, base, parsed)
        values["model"] |= {"revision": None, "pickled_weights": False}
    else:
        if values["model"]["checkpoint"] is None:  # of an option with random weights, only the limits are meant
            values["model"]["architecture"] = options["model"] = None
        given = {override.key_or_group for override in parsed}
        for key, usual in (("revision", None), ("pickled_weights", False)):  # an option's are those of its checkpoint
            if f"model.{key}" not in given:
                values["model"][key] = usual
    values["model"]["checkpoint"] = literal(checkpoint)
    config = checked(OmegaConf.create(values), composer.config_name, hydra)
    if record is not None:
        config.choices = {**record.get("choices", {}), **_chosen(options, parsed)}
    elif options["model"] is None:
        del config.choices["model"]
    return config


def resumed_run(composer: Composer, overrides: Sequence[str]) -> str | None:
    """Return the run directory that `resume=` names, if it is given."""
    given = [override for override in composer.parse(overrides) if override.key_or_group == "resume"]
    if not given or given[-1].is_delete() or given[-1].value() is None:
        return None
    if given[-1].is_sweep_override() or not isinstance(given[-1].value(), str):
        raise UserError(f"'{given[-1].input_line}': resume takes one run directory")
    return str(given[-1].value())


def continue_run(composer: Composer, run: str, overrides: Sequence[str]) -> Config:
    """Return the checked configuration with which the training in a run directory goes on."""
    record = read_record(run)
    if record.get("job") != "train":
        raise UserError(f"resume: '{run}' holds no training but a {record.get('job')} run")
    parsed = composer.parse(overrides)
    for override in parsed:
        changes_experiment = override.key_or_group.partition(".")[0] in ("experiment", "model", "seed")
        if override.is_delete() or (changes_experiment and not override.is_hydra_override()):
            raise UserError(f"'{override.input_line}' makes another experiment: start it without resume")
    composed = composer.compose(overrides)
    values = _replaced(composer, _plain(composed), record["config"], parsed)
    config = checked(OmegaConf.create(values), composer.config_name)
    config.resolved["resume"] = None
    config.choices = _chosen(composed.hydra.runtime.choices, parsed)
    return config


def _replaced(
    composer: Composer, composed: dict[str, Any], base: dict[str, Any], parsed: Sequence[Override]
) -> dict[str, Any]:
    """Return a run's configuration in which `group=option` replaces a whole node, and `key=value` one value.

    `base` is that run's resolved configuration; what it lacks is taken from what the command line composes to.
    """
    base = literal(base)
    added = {key: {**composed[key], **base[key]} for key in _PLAIN_NODES if isinstance(base.get(key), dict)}
    values = OmegaConf.create({**composed, **base, **added})
    for override in parsed:
        key, value = override.key_or_group, override.value()
        if not override.is_hydra_override():
            new = composed[key] if key in composer.groups else list(value) if isinstance(value, tuple) else value
            OmegaConf.update(values, key, new, merge=key not in composer.groups, force_add=True)
    return _plain(values)


def _plain(composed: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain data, its interpolations as they are written."""
    values = OmegaConf.to_container(composed)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items() if key != "hydra"}


def _chosen(choices: Any, parsed: Sequence[Override]) -> dict[str, str]:
    """Return the options that the command line chooses."""
    return {key: str(choices[key]) for override in parsed if (key := override.key_or_group) in choices}


def _run(composed: DictConfig) -> str | None:
    """Return what `run` is; None where it is nothing, or nothing that the schema would let pass."""
    try:
        run = OmegaConf.select(composed, "run")
    except OmegaConfBaseException:
        return None
    return run if isinstance(run, str) else None


def _refuse_another_model(run: str, parsed: Sequence[Override], *, is_run: bool) -> None:
    """Refuse words that name a model besides the one that `run` names, or that no run's configuration can take."""
    for override in parsed:
        key = override.key_or_group
        names_model = key == "model.checkpoint" or (
            is_run and (key in ("model", "model.revision") or key.startswith("model.architecture"))
        )
        if names_model:
            raise UserError(f"'{override.input_line}': the model is that of '{run}'; leave one of the two out")
        if is_run and (key == "experiment" or override.is_delete()):
            raise UserError(f"'{override.input_line}': the run has a configuration; name the keys that are to differ")


def _model_of(run: str) -> tuple[str, dict[str, Any] | None]:
    """Return the checkpoint that is meant by a run, a directory or a hub name, and the `run.json` that tells of it."""
    try:
        path = Path(run).expanduser()
        is_directory = run != "" and path.is_dir()
        is_file = not is_directory and path.is_file()
    except (OSError, RuntimeError) as error:  # too long a name, a user who is not there
        raise UserError(f"run: there is no directory '{run}'") from error
    if is_file:
        raise UserError(f"run: '{run}' is a file; name a run directory, a checkpoint directory or a hub model")
    if not is_directory:
        if run.startswith((".", "~")) or not _HUB_NAME.fullmatch(run):
            raise UserError(f"run: there is no directory '{run}'")
        return run, None
    if (path / "run.json").exists():
        record = read_record(run)
        return _sound(_best(run, path, record)), record
    whole = path.resolve().parents
    if len(whole) > 1 and whole[0].name == "checkpoints" and (whole[1] / "run.json").exists():
        return _sound(path), read_record(str(whole[1]))
    if not (path / "config.json").exists():
        sweep = next(path.glob("*/run.json"), None)
        hint = f"; it holds a sweep's runs, such as {sweep.parent}" if sweep else ""
        raise UserError(f"run: '{run}' is neither a run directory nor a checkpoint: no run.json, no config.json{hint}")
    return str(path), None


def _best(run: str, path: Path, record: dict[str, Any]) -> Path:
    """Return the checkpoint that a run was tested with or, of one that is not finished, its best so far."""
    if record.get("job") != "train":
        raise UserError(f"run: '{run}' is of `bisum {record.get('job')}`, which trains no model")
    folder = path / "checkpoints"
    if record.get("status") == "finished" and record.get("test"):
        return folder / str(record["test"]["checkpoint"])
    if record.get("best"):
        epoch = record["best"].get("epoch") if isinstance(record["best"], dict) else None
        if not isinstance(epoch, int | float):
            raise UserError(f"'{path / 'run.json'}': best.epoch must be a number")
        return folder / epoch_name(epoch)
    saved = checkpoints_in(folder)
    hint = f"has evaluated none of its checkpoints yet; name one, such as {saved[-1]}" if saved else "has no checkpoint"
    raise UserError(f"run: '{run}' {hint} (its status: {record.get('status')})")


def _sound(checkpoint: Path) -> str:
    """Return a checkpoint of bisum's own as text; only what a training continues from may be missing."""
    if problem := damage(checkpoint, unneeded=(OPTIMIZER, STATE)):
        others = [path for path in checkpoints_in(checkpoint.parent) if path != checkpoint]
        hint = f"; there is also {', '.join(map(str, reversed(others)))}" if others else ""
        raise UserError(f"run: '{checkpoint}' is damaged ({problem}){hint}")
    return str(checkpoint)


def read_record(run: str) -> dict[str, Any]:
    """Return the `run.json` of a run directory.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    path = Path(run).expanduser() / "run.json"
    if Path(run).is_file():
        raise UserError(f"'{run}' is a file; give the run directory")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"'{run}' is not a run directory: it has no run.json") from error
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise UserError(f"'{path}' holds no configuration")
    for key, value in (("config.model", record["config"].get("model")), ("choices", record.get("choices", {}))):
        if not isinstance(value, dict):
            raise UserError(f"'{path}': {key} must be an object, as bisum wrote it")
    return record


def compose(overrides: Sequence[str] = (), *, config_dir: str | None = None) -> Config:
    """Return a checked configuration, from the same words as the command line takes.

    Args:
        overrides: `group=option` and `key=value` words, such as `["model=tiny", "trainer.epochs=1"]`.
        config_dir: a folder of further YAML files; one of the name of bisum's own is taken in its place.

    Raises:
        UserError: an unknown key or option, a wrong type, a value out of range.
    """
    composer = Composer("train", config_dir)
    run = resumed_run(composer, overrides)
    if run is not None:
        return continue_run(composer, run, overrides)
    if composer.compose(overrides).hydra.mode == RunMode.MULTIRUN:
        raise UserError("hydra.mode: these words are a sweep of several configurations, not one")
    return composer.checked(overrides)
