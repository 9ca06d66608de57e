"""The configuration of an interrupted run or job with command-line arguments applied: `resume=RUN`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict

from bisum.config.checking import OPTIONAL_GROUPS
from bisum.config.composition import Composer
from bisum.config.earlier_run import (
    check_values,
    chosen_options,
    plain_values,
    recorded_values,
    refuse_folders,
    replaced,
)
from bisum.config.identity import changes_number
from bisum.config.recording import refuse_incomplete
from bisum.config.schema import Config
from bisum.config.typed_text import typed
from bisum.errors import UserError
from bisum.runs.record import read_record
from bisum.runs.sweep import RECORD

_EXPERIMENT = (*OPTIONAL_GROUPS, "model", "adapter", "seed")
"""Keys, with all keys below them, that cannot change on resume, unless they do not affect results."""


def resumed_run(overrides: Sequence[Override]) -> str | None:
    """Return the run directory in `resume=`, if any."""
    given = [override for override in overrides if override.key_or_group == "resume"]
    if not given or given[-1].is_delete() or given[-1].value() is None:
        return None
    if given[-1].value() == "":
        raise UserError("resume: expected a run directory, not ''; omit it, or use resume=null, for a new run")
    if given[-1].is_sweep_override() or not isinstance(given[-1].value(), str):
        raise UserError(f"'{typed(given[-1])}': resume accepts one run directory")
    return str(given[-1].value())


def refuse_another_experiment(run: str, overrides: Sequence[Override]) -> None:
    """Refuse to resume a run of another command than train, and arguments that change the experiment."""
    job = read_record(run)["job"]
    if job != "train":
        raise UserError(f"resume: '{run}' is a {job} run, not a training run")
    for override in overrides:
        key = override.key_or_group
        changes_experiment = key.partition(".")[0] in _EXPERIMENT and changes_number(key)
        if override.is_delete() or (changes_experiment and not override.is_hydra_override()):
            raise UserError(f"'{typed(override)}': changes the experiment; start a new run without resume")


def continued(composer: Composer, composed: DictConfig, run: str, overrides: Sequence[Override]) -> Config:
    """Return the checked configuration for continuing the training in a run directory."""
    record = read_record(run)
    values = replaced(composer, plain_values(composed), recorded_values(record, Path(run, "run.json")), overrides)
    refuse_incomplete(values, record)
    refuse_folders(values, Path(run), {override.key_or_group for override in overrides})
    provenance = {"choices": chosen_options(composed, overrides)}
    return check_values(composer, values, Path(run), overrides, provenance)


def continued_job(
    composer: Composer,
    composed: DictConfig,
    record: Mapping[str, Any],
    directory: str,
    overrides: Sequence[Override],
    sweep: str,
    arguments: Sequence[str],
) -> Config:
    """Return the checked configuration of a sweep's job from its record, and write its values into `composed`.

    Args:
        composer: composes the command of the sweep.
        composed: the composed arguments of the sweep; receives the job's values.
        record: the job's part of the sweep's record.
        directory: the sweep's directory.
        overrides: arguments that replace recorded values.
        sweep: the name of the sweep.
        arguments: the job's own arguments.
    """
    given = {override.key_or_group for override in overrides}
    values = replaced(composer, plain_values(composed), recorded_values(record, Path(directory, RECORD)), overrides)
    refuse_incomplete(values, record, RECORD)
    refuse_folders(values, Path(directory), given)
    with open_dict(composed):
        for key, value in values.items():
            composed[key] = value
    choices = {**record.get("choices", {}), **chosen_options(composed, overrides)}
    provenance = {"choices": choices, "sweep": sweep, "overrides": arguments}
    return check_values(composer, values, Path(directory), overrides, provenance, RECORD)
