"""One job run in this process: a single run, or a job of a sweep."""

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
"""A command's function; it takes the checked configuration and the run directory."""


def run_single(job: Job, import_function: Callable[[], Function]) -> int:
    """Run a job in its own directory, or in the directory of the run that it continues; return the exit code.

    Raises:
        UserError: the directory cannot be used, or the command raises one.
        Failed: the command fails otherwise.
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
    """Run a job in its folder, which is prepared, and return its exit code; an error is reported, not raised."""
    callbacks = Callbacks(job.composed)
    job.composed.hydra.mode = RunMode.MULTIRUN
    returned = execute(job, function, callbacks, "hydra.sweep.dir", "hydra.sweep.subdir")
    if returned.error is None:
        return 0
    complain_of(returned.error)
    return 2 if isinstance(returned.error, UserError) else 1


def complain_of(error: Exception) -> None:
    """Report the error of one job of a sweep, with its traceback if nobody expected it."""
    if isinstance(error, UserError | Failed):
        complain(error)
    else:
        traceback.print_exception(error)


def release_memory() -> None:
    """Free what a job held, where several run in one process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def prepare(directory: Path, key: str, hydra_folder: str | None) -> None:
    """Create the directory of a job before anything is written there; `hydra_folder` is for Hydra's files.

    Raises:
        UserError: it cannot be created, or it holds anything that would be overwritten.
    """
    claim(directory, key)
    if hydra_folder is not None and any((directory / hydra_folder).glob("*.yaml")):
        raise UserError(f"hydra.output_subdir: '{directory / hydra_folder}' already holds YAML files; name another")


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
        # The error is kept for later: if Hydra saw it, Hydra would print lines of its own.
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
        _ = returned.job_return.return_value  # raises an error of Hydra's own, if there was one
    except Exception as error:
        returned.error = returned.error or error
    return returned
