"""Execution of one job in this process: a single run, or a job of a sweep."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from bisum.config.jobs import Job, directory_of
from bisum.errors import Failed, UserError, complain
from bisum.records.run import claim
from bisum.sweeps.callbacks import Callbacks

Function = Callable[..., Any]
"""A command's function of the checked configuration and the run directory."""


def run_single(job: Job, import_function: Callable[[], Function]) -> int:
    """Run a job in its own directory, or in that of the run it continues; return the exit code.

    Raises:
        UserError: the directory cannot be used, or the input of the command is bad.
        Failed: the command fails for another reason.
    """
    if job.resumes is not None:
        import_function()(job.config, job.resumes)
        return 0
    callbacks = Callbacks(job.composed)
    directory = Path(directory_of(job.composed, "hydra.run.dir"))
    prepare(directory, "hydra.run.dir", job.composed.hydra.output_subdir)
    function = import_function()
    command = job.config.provenance.command
    callbacks.on_run_start(config=job.composed, config_name=command)
    returned = execute(job, function, callbacks, "hydra.run.dir", None)
    callbacks.on_run_end(config=job.composed, config_name=command, job_return=returned.job_return)
    if returned.error is not None:
        raise returned.error
    return 0


def run_job_of_sweep(job: Job, function: Function) -> int:
    """Run a job in its prepared folder and return its exit code; an error is reported, not raised."""
    callbacks = Callbacks(job.composed)
    job.composed.hydra.mode = RunMode.MULTIRUN
    returned = execute(job, function, callbacks, "hydra.sweep.dir", "hydra.sweep.subdir")
    if returned.error is None:
        return 0
    report_error(returned.error)
    return 2 if isinstance(returned.error, UserError) else 1


def report_error(error: Exception) -> None:
    """Report the error of a job of a sweep; unexpected errors with their traceback."""
    if isinstance(error, UserError | Failed):
        complain(error)
    else:
        traceback.print_exception(error)


def release_memory() -> None:
    """Free the memory of a job before the next one runs in this process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def prepare(directory: Path, key: str, hydra_folder: str | None) -> None:
    """Create the directory of a job before anything is written; Hydra's files go to `hydra_folder` in it.

    Raises:
        UserError: it cannot be created, or contains files that would be overwritten.
    """
    claim(directory, key)
    if hydra_folder is not None and any((directory / hydra_folder).glob("*.yaml")):
        raise UserError(
            f"hydra.output_subdir: '{directory / hydra_folder}' already contains YAML files; choose another folder"
        )


class Returned:
    """The result of a job."""

    job_return: Any = None
    error: Exception | None = None


def execute(
    job: Job, function: Function, callbacks: Callbacks, directory_key: str, subdirectory_key: str | None
) -> Returned:
    """Run a job as Hydra does: write its files to `.hydra/` and call its callbacks."""
    returned = Returned()

    def task(_: DictConfig) -> float | None:
        # The error is kept for later, because Hydra would print its own report of it.
        try:
            score: float | None = function(job.config, Path(job.composed.hydra.runtime.output_dir))
            return score
        except Exception as error:
            returned.error = error
            return None

    loader = GlobalHydra.instance().config_loader()
    context = HydraContext(config_loader=loader, callbacks=cast(Any, callbacks))
    try:
        returned.job_return = run_job(
            hydra_context=context,
            task_function=task,
            config=job.composed,
            job_dir_key=directory_key,
            job_subdir_key=subdirectory_key,
        )
        _ = returned.job_return.return_value  # raises Hydra's own error, if any
    except Exception as error:
        returned.error = returned.error or error
    return returned
