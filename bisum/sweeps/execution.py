"""Jobs run in this process: one, or those of a sweep one after the other."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from bisum.config.jobs import Job, Sweep, directory_of
from bisum.errors import Failed, UserError, complain
from bisum.records.run import claim
from bisum.runs.files import replace_file
from bisum.runs.lock import lock
from bisum.sweeps.callbacks import Callbacks
from bisum.sweeps.report import announce, report

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
    claim(Path(directory_of(job.composed, "hydra.run.dir")), "hydra.run.dir")  # before Hydra writes its files there
    function = import_function()
    command = job.config.provenance.command
    callbacks.on_run_start(config=job.composed, config_name=command)
    returned = _execute(job, function, callbacks, "hydra.run.dir", None)
    callbacks.on_run_end(config=job.composed, config_name=command, job_return=returned.job_return)
    if returned.error is not None:
        raise returned.error
    return 0


def run_sweep(sweep: Sweep, import_function: Callable[[], Function]) -> int:
    """Run the jobs one after the other; if one fails, the others run all the same.

    Returns:
        The largest of their exit codes.

    Raises:
        UserError: the sweep's directory cannot be used.
    """
    jobs = sweep.jobs or []
    directory = Path(sweep.directory)
    callbacks = Callbacks(sweep.composed)
    claim(directory, "hydra.sweep.dir")
    function = import_function()
    with lock(directory, f"hydra.sweep.dir: '{directory}' is in use: another process runs a sweep there"):
        replace_file(directory / "multirun.yaml", OmegaConf.to_yaml(sweep.composed).splitlines())
        command = jobs[0].config.provenance.command
        callbacks.on_multirun_start(config=sweep.composed, config_name=command)
        done: list[Path] = []
        code = 0
        try:
            for number, job in enumerate(jobs):
                announce(number, [job.words for job in jobs], job.config.provenance.overrides)
                job.composed.hydra.mode = RunMode.MULTIRUN
                returned = _execute(job, function, callbacks, "hydra.sweep.dir", "hydra.sweep.subdir")
                if returned.error is not None:
                    complain_of(returned.error)
                    code = max(code, 2 if isinstance(returned.error, UserError) else 1)
                subdirectory = directory_of(job.composed, "hydra.sweep.subdir")
                done.append(directory / subdirectory)
                release_memory()
        finally:
            callbacks.on_multirun_end(config=sweep.composed, config_name=command)
        return max(report(directory, done), code)


def complain_of(error: Exception) -> None:
    """Report the error of one job of a sweep, with its traceback if nobody expected it."""
    if isinstance(error, UserError | Failed):
        complain(error)
    else:
        traceback.print_exception(error)


def release_memory() -> None:
    """Free what a job held, since all jobs run in one process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _prepare(job: Job, directory_key: str, subdirectory_key: str | None) -> None:
    """Create the directory of a job before Hydra writes its files there; raises `UserError` if it holds anything."""
    directory = Path(directory_of(job.composed, directory_key))
    directory /= directory_of(job.composed, subdirectory_key) if subdirectory_key else ""
    claim(directory, subdirectory_key or directory_key)
    if subdirectory_key and directory.is_symlink():
        raise UserError(f"{subdirectory_key}: '{directory}' is a link; replace it with a folder")
    if (folder := job.composed.hydra.output_subdir) is not None and any((directory / folder).glob("*.yaml")):
        raise UserError(f"hydra.output_subdir: '{directory / folder}' already holds YAML files; name another")


class _Returned:
    """The result of a job."""

    job_return: Any = None
    error: Exception | None = None


def _execute(
    job: Job, function: Function, callbacks: Callbacks, directory_key: str, subdirectory_key: str | None
) -> _Returned:
    """Run a job as Hydra does: write its files to `.hydra/` and call its callbacks."""
    returned = _Returned()

    def task(_: DictConfig) -> float | None:
        # The error is kept for later: if Hydra saw it, Hydra would print lines of its own.
        try:
            score: float | None = function(job.config, Path(job.composed.hydra.runtime.output_dir))
            return score
        except Exception as error:
            returned.error = error
            return None

    try:
        _prepare(job, directory_key, subdirectory_key)
    except UserError as error:
        returned.error = error
        return returned
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
