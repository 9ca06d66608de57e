"""One checked job of a sweep, from its arguments or from the sweep's record."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bisum.config.checking import build, value_problems
from bisum.config.composition import Composer, task_arguments
from bisum.config.continuation import continued_job
from bisum.config.earlier_run import based_on_run
from bisum.config.hydra_safety import inside
from bisum.config.jobs import Job, directory_of
from bisum.config.messages import one_line_of
from bisum.config.recording import mask_composed
from bisum.config.typed_text import typed
from bisum.errors import UserError, without_secrets
from bisum.runs.sweep import record_of_job

Options = TypeVar("Options")


def job_of_arguments(composer: Composer, own: Sequence[Override], number: int, directory: str | None) -> Job:
    """Return a job of a sweep; `directory` is the sweep's, or None for the first job, which determines it."""
    composed = composer.compose(own, shared=True)
    with open_dict(composed):
        composed.hydra.job.num = number
        composed.hydra.job.id = str(number)
    # Each composition would contain a different time.
    composed.hydra.sweep.dir = directory = directory or directory_of(composed, "hydra.sweep.dir")
    config = based_on_run(composer, composed, own, Path(directory).absolute().name)
    mask_composed(composed)
    folder = inside(directory_of(composed, "hydra.sweep.subdir"), "hydra.sweep.subdir", "the sweep's directory")
    arguments = [without_secrets(typed(override)) for override in own if override.is_hydra_override()]
    return Job([*arguments, *task_arguments(composed)], composed, config, folder=folder)


def job_of_record(
    composer: Composer, composed: DictConfig, given: Sequence[Override], record: Mapping[str, Any], number: int
) -> Job:
    """Return a job from the record of its sweep.

    Args:
        composer: composes the command of the sweep.
        composed: the configuration shared by the sweep's jobs.
        given: arguments that replace recorded values.
        record: the sweep's `sweep.json`.
        number: the job's index in the record.
    """
    entry, directory = record["jobs"][number], str(composed.hydra.sweep.dir)
    own = copy.deepcopy(composed)
    with open_dict(own):
        own.hydra.job.num, own.hydra.job.id = number, str(number)
        own.hydra.sweep.subdir = entry["folder"]
        own.hydra.overrides.task = entry["arguments"]
    name = Path(directory).absolute().name
    config = continued_job(composer, own, record_of_job(record, entry), directory, given, name, entry["arguments"])
    mask_composed(own)
    return Job(list(entry["arguments"]), own, config, folder=entry["folder"])


def options_of(composed: DictConfig, node: str, schema: type[Options], overrides: Sequence[Override]) -> Options:
    """Return the checked settings of a sweep in a node; raises `UserError` for an invalid or swept setting."""
    for override in overrides:
        if override.is_sweep_override() and override.key_or_group.partition(".")[0] == node:
            raise UserError(f"'{typed(override)}': applies to the whole sweep; give one value")
    values = composed.get(node)
    try:
        values = OmegaConf.to_container(values, resolve=True) if OmegaConf.is_config(values) else values
    except OmegaConfBaseException as error:
        raise UserError(f"{node}: {one_line_of(error)}") from error
    if lines := value_problems(schema, values, node):
        raise UserError("\n".join(lines))
    assert isinstance(values, dict)
    return build(schema, {str(key): value for key, value in values.items()})
