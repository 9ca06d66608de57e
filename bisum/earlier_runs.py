"""An earlier run's own configuration, with what the command line names replaced: `resume=RUN` and `run=RUN`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.checking import obey_allow_targets
from bisum.composition import Composer, checked, literal
from bisum.config import SCHEMAS, Config, TrainedModelConfig
from bisum.corpus.sources import RowSettings
from bisum.errors import UserError
from bisum.named_runs import model_of, read_record

_NEVER_EARLIER = ("cache_dir", "log", "resume")
_PLAIN_NODES = ("model", "generation", "evaluation", "hardware")
"""Nodes whose keys are bisum's own: what an older bisum did not know has its default, as have the corpus' settings."""
_OF_MODEL = ("model", "languages", "generation", "evaluation", "hardware", "seed")
"""Keys that texts are summarized with; the others of a run may name what is not there any longer."""
_ROWS = ("split", "rows", "ids")


def configure(composer: Composer, words: Sequence[str]) -> Config:
    """Return the checked configuration of words given in Python, based on the earlier run that they name, if any.

    After `run=`, `config.model.checkpoint` is the checkpoint to use and `config.run` what was given.

    Raises:
        UserError: a line for each thing that is wrong.
    """
    overrides = _from_python(words)
    _, *others = [word for word in overrides if word.lstrip("+").startswith("run=")] or [""]
    if others:
        raise UserError(f"'{others[0]}': the run is given already; leave one of the two out")
    return configured(composer, _single(composer, overrides), overrides)


def configured(composer: Composer, composed: DictConfig, overrides: Sequence[str], hydra: Any = None) -> Config:
    """Return the same of what a command line's `overrides` compose to; `hydra` is its node of that name, if apart."""
    hydra = hydra or composed.hydra
    parsed = composer.parse(overrides)
    if composer.config_name == "summarize":
        for override in parsed:
            if override.is_hydra_override():
                word = override.input_line
                raise UserError(f"'{word}': bisum summarize makes no run directory and no use of Hydra's own")
    run = _run(composed) if issubclass(SCHEMAS[composer.config_name], TrainedModelConfig) else None
    if run is None:
        return checked(composed, composer.config_name, hydra)
    checkpoint, directory = model_of(run)
    _refuse_another_model(run, parsed, is_run=directory is not None)
    values = _plain(composed)
    if directory is not None:
        record = read_record(directory)
        base = {key: value for key, value in record["config"].items() if key not in _NEVER_EARLIER}
        if composer.config_name == "summarize" and not any(values[key] for key in _ROWS):
            base = {key: value for key, value in base.items() if key in _OF_MODEL}
            base["evaluation"] = {**base.get("evaluation", {}), "metrics": []}
        values = _replaced(composer, values, base, parsed)
        values["model"] |= {"revision": None, "pickled_weights": False}
    else:
        given = {override.key_or_group for override in parsed}
        if values["model"]["checkpoint"] is None or not {"model", "experiment"} & given:  # only its limits are meant
            values["model"]["architecture"] = None
        for key, usual in (("revision", None), ("pickled_weights", False)):  # an option's are those of its checkpoint
            if f"model.{key}" not in given:
                values["model"][key] = usual
    values["model"]["checkpoint"] = literal(checkpoint)
    if directory is None:
        config = checked(OmegaConf.create(values), composer.config_name, hydra)
    else:
        config = _checked(composer, values, directory, parsed, hydra)
        config.choices = {**record.get("choices", {}), **_chosen(hydra.runtime.choices, parsed)}
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
    if record["job"] != "train":
        raise UserError(f"resume: '{run}' holds no training but a {record['job']} run")
    parsed = composer.parse(overrides)
    for override in parsed:
        changes_experiment = override.key_or_group.partition(".")[0] in ("experiment", "model", "seed")
        if override.is_delete() or (changes_experiment and not override.is_hydra_override()):
            raise UserError(f"'{override.input_line}' makes another experiment: start it without resume")
    composed = composer.compose(overrides)
    values = _replaced(composer, _plain(composed), record["config"], parsed)
    config = _checked(composer, values, Path(run), parsed)
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
    architecture = added.get("model", {}).get("architecture")
    if isinstance(architecture, dict) and architecture.get("tokenizer", "") is None:  # null: that of `tiny`
        added["model"]["architecture"] = {**architecture, "tokenizer": "pkg://bisum.models.tiny"}
    if isinstance(corpus := base.get("corpus"), dict):
        rows = [field.name for field in fields(RowSettings) if field.name in composed["corpus"]]
        added["corpus"] = {**{name: composed["corpus"][name] for name in rows}, **corpus}
    values = OmegaConf.create({**composed, **base, **added})
    for override in parsed:
        key, value = override.key_or_group, override.value()
        if not override.is_hydra_override():
            new = composed[key] if key in composer.groups else list(value) if isinstance(value, tuple) else value
            OmegaConf.update(values, key, new, merge=key not in composer.groups, force_add=True)
    return _plain(values)


def _checked(
    composer: Composer, values: dict[str, Any], directory: Path, parsed: Sequence[Override], hydra: Any = None
) -> Config:
    """Return the checked configuration of a run with what the words replace in it, and tell whose a mistake is."""
    try:
        return checked(OmegaConf.create(values), composer.config_name, hydra)
    except UserError as error:
        given = [rf"\b{re.escape(override.key_or_group)}\b" for override in parsed]
        lines = [
            line if any(re.search(key, line) for key in given) else f"{directory / 'run.json'}: {line}"
            for line in str(error).splitlines()
        ]
        raise UserError("\n".join(lines)) from error


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


def compose(overrides: Sequence[str] = (), *, config_dir: str | None = None) -> Config:
    """Return a checked configuration, from the same words as the command line takes.

    Args:
        overrides: `group=option` and `key=value` words, such as `["model=tiny", "trainer.epochs=1"]`.
        config_dir: a folder of further YAML files; one of the name of bisum's own is taken in its place.

    Raises:
        UserError: an unknown key or option, a wrong type, a value out of range.
    """
    composer = Composer("train", config_dir)
    overrides = _from_python(overrides)
    run = resumed_run(composer, overrides)
    if run is not None:
        return continue_run(composer, run, overrides)
    return checked(_single(composer, overrides), composer.config_name)


def _from_python(words: Sequence[str]) -> list[str]:
    """Return Hydra's words; `allow_targets=` is obeyed: code that calls bisum is a user's, as the command line is."""
    if isinstance(words, str):
        raise UserError(f"'{words}': give a list of words, ['{words}']")
    return obey_allow_targets(words)


def _single(composer: Composer, overrides: Sequence[str]) -> DictConfig:
    """Return what the words compose to, which must be one configuration."""
    composed = composer.compose(overrides)
    if composed.hydra.mode == RunMode.MULTIRUN:
        raise UserError("hydra.mode: these words are a sweep of several configurations, not one")
    return composed
