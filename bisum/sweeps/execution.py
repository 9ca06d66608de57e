"""Jobs run in this process: one, or those of a sweep one after the other."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import run_job
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from bisum.config.jobs import Job, directory_of
from bisum.errors import Failed, UserError, complain
from bisum.records.run import claim
from bisum.sweeps.callbacks import Callbacks
from bisum.sweeps.report import announce, report

Function = Callable[..., Any]
"""A command's function; it takes the checked configuration and the run directory."""


def run_single(jobs: Sequence[Job], import_function: Callable[[], Function]) -> int:
    """Run the one job in its own directory, or in that of the run that it continues; return the exit code.

    Raises:
        UserError: the directory cannot be used, or the command raises one.
        Failed: the command fails otherwise.
    """
    (job,) = jobs
    if job.resumes is not None:
        import_function()(job.config, job.resumes)
        return 0
    directory = directory_of(job.composed, "hydra.run.dir")
    claim(Path(directory), "hydra.run.dir")  # before Hydra writes its files there
    function = import_function()
    callbacks = Callbacks(job.composed)
    callbacks.on_run_start(config=job.composed, config_name=job.config.provenance.command)
    returned = _execute(job, function, callbacks, "hydra.run.dir", None)
    callbacks.on_run_end(config=job.composed, config_name=job.config.provenance.command, job_return=returned.job_return)
    if returned.error is not None:
        raise returned.error
    return 0


def run_sweep(jobs: Sequence[Job], import_function: Callable[[], Function]) -> int:
    """Run the jobs one after the other; one that fails does not keep the others from running.

    Returns:
        The largest of their exit codes.

    Raises:
        UserError: the sweep's directory cannot be used.
    """
    first = jobs[0].composed
    directory = directory_of(first, "hydra.sweep.dir")
    claim(Path(directory), "hydra.sweep.dir")
    function = import_function()
    OmegaConf.save(first, Path(directory) / "multirun.yaml")
    callbacks = Callbacks(first)
    callbacks.on_multirun_start(config=first, config_name=jobs[0].config.provenance.command)
    done = []
    for number, job in enumerate(jobs):
        announce(number, [job.words for job in jobs], job.config.provenance.overrides)
        returned = _execute(job, function, callbacks, "hydra.sweep.dir", "hydra.sweep.subdir")
        if returned.error is not None:
            complain(returned.error)
        done.append((Path(job.composed.hydra.runtime.output_dir), job.config.provenance.overrides))
        release_memory()
    callbacks.on_multirun_end(config=first, config_name=jobs[0].config.provenance.command)
    return report(done)


def release_memory() -> None:
    """Give back what a job held, since all jobs run in one process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class _Returned:
    """How a job ended."""

    job_return: Any = None
    error: Exception | None = None


def _execute(
    job: Job, function: Function, callbacks: Callbacks, directory_key: str, subdirectory_key: str | None
) -> _Returned:
    """Run a job as Hydra runs one: its files are written to `.hydra/`, its callbacks are called."""
    returned = _Returned()

    def task(_: DictConfig) -> float | None:
        # Kept for later: Hydra would print lines of its own about an error that it sees.
        try:
            score: float | None = function(job.config, Path(job.composed.hydra.runtime.output_dir))
            return score
        except (UserError, Failed) as error:
            returned.error = error
            return None

    loader = GlobalHydra.instance().config_loader()
    context = HydraContext(config_loader=loader, callbacks=cast(Any, callbacks))
    returned.job_return = run_job(
        hydra_context=context,
        task_function=task,
        config=job.composed,
        job_dir_key=directory_key,
        job_subdir_key=subdirectory_key,
    )
    if returned.error is None:
        _ = returned.job_return.return_value  # raises what the command did not expect
    return returned
