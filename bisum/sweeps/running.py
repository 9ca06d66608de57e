"""`bisum -m`: a sweep from its checked jobs to the final table."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from omegaconf import OmegaConf

from bisum.config.hydra_node import runs_in_processes
from bisum.config.jobs import Job, distinguishing_arguments
from bisum.config.sweep import Sweep
from bisum.display.console import Console
from bisum.display.terminal import relative_path
from bisum.errors import UserError
from bisum.records.run import claim
from bisum.runs.files import replace_file
from bisum.runs.safe_paths import refuse_links
from bisum.runs.sweep import OVER, is_sweep
from bisum.sweeps.callbacks import Callbacks
from bisum.sweeps.display import SweepDisplay
from bisum.sweeps.execution import Function, release_memory, run_job_of_sweep
from bisum.sweeps.local import JobProcess
from bisum.sweeps.machine import Share, cores, threads_of_a_job, visible_gpus
from bisum.sweeps.record import SweepRecord
from bisum.sweeps.scheduling import Scheduler
from bisum.sweeps.search_report import report_end
from bisum.sweeps.trials import Trials, check_optuna
from bisum.sweeps.work import Execution, Launch, Work


def run_sweep(sweep: Sweep, config_dir: str | None, entry: str, import_function: Callable[[], Function]) -> int:
    """Run the jobs that are still open, and compare all jobs; a failing job does not stop the others.

    Args:
        sweep: the checked jobs.
        config_dir: the folder of `--config-dir`.
        entry: the module that runs one job in its own process.
        import_function: returns the command's function, for jobs in this process.

    Returns:
        0 if all jobs have finished, 1 if one failed, 128 + n if signal n stopped the sweep.

    Raises:
        UserError: the sweep's directory cannot be used.
    """
    if not sweep.options.wait:
        raise UserError("sweep.wait=false: works only with hydra/launcher=slurm; remove it")
    callbacks = Callbacks(sweep.composed)
    directory = sweep_directory(sweep)
    in_processes = runs_in_processes(sweep.composed.hydra)
    gpus = visible_gpus([sweep.example, *(sweep.jobs or ())]) if in_processes else []
    parallel = _parallel(sweep, len(gpus), in_processes)
    record = SweepRecord(sweep, config_dir, threads_of_a_job(parallel))
    try:
        trials = trials_of(sweep, record)
        if record.is_new:
            write_composed(sweep, directory)
        _announce(sweep, record, trials, parallel, len(gpus), in_processes=in_processes)
        launch = _process(config_dir, entry, gpus) if in_processes else _in_this_process(import_function)
        command = sweep.example.config.provenance.command
        callbacks.on_multirun_start(config=sweep.composed, config_name=command)
        try:
            scheduler = work(sweep, record, trials, launch, parallel, detached=in_processes)
        finally:
            callbacks.on_multirun_end(config=sweep.composed, config_name=command)
        code = report_end(record, trials)
        return code if scheduler.stopped_by is None else 128 + scheduler.stopped_by
    finally:
        record.close()


def run_worker(sweep: Sweep, config_dir: str | None, entry: str, only: int | None) -> int:
    """Run one job of a sweep begun by another process, or all remaining ones, without a final report.

    Args:
        sweep: the sweep, from its record.
        config_dir: the folder of `--config-dir`.
        entry: the module that runs one job in its own process.
        only: the job to run; None: any, one after the other.

    Returns:
        0, or 128 + n if signal n stopped the work. The outcome of each job is in the sweep's record.
    """
    if sweep.search is not None:
        check_optuna(sweep.search)
    record = SweepRecord(sweep, config_dir, None, retries_failed=False)
    try:
        launch = _process(config_dir, entry, [])
        scheduler = work(sweep, record, trials_of(sweep, record), launch, 1, detached=True, only=only, waits=False)
        return 0 if scheduler.stopped_by is None else 128 + scheduler.stopped_by
    finally:
        record.close()


def work(
    sweep: Sweep,
    record: SweepRecord,
    trials: Trials | None,
    launch: Launch,
    parallel: int,
    *,
    detached: bool,
    only: int | None = None,
    waits: bool = True,
) -> Scheduler:
    """Run jobs until none is left, and return the scheduler; see `Scheduler` for the arguments."""
    label = labels(record) if trials is None else trials.label
    with SweepDisplay(label, sweep.log, trials, detached=detached) as display:
        job = partial(_job, sweep, record)
        scheduler = Scheduler(record, job, sweep.options, parallel, launch, display, trials, only, waits)
        scheduler.work()
    return scheduler


def sweep_directory(sweep: Sweep) -> Path:
    """Create and return the directory of a sweep.

    Raises:
        UserError: it cannot be used, or a library that the sweep needs is missing.
    """
    if sweep.search is not None:
        check_optuna(sweep.search)
    directory = Path(sweep.directory)
    if is_sweep(directory):
        refuse_links(directory, "hydra.sweep.dir")
    else:
        claim(directory, "hydra.sweep.dir")
    return directory


def write_composed(sweep: Sweep, directory: Path) -> None:
    """Write the composed configuration of the sweep, like Hydra."""
    replace_file(directory / "multirun.yaml", OmegaConf.to_yaml(sweep.composed).splitlines())


def trials_of(sweep: Sweep, record: SweepRecord) -> Trials | None:
    """Return the trials of a search, reconciled with their runs; None if the jobs are listed."""
    if sweep.search is None:
        return None
    try:
        trials = Trials(sweep, record)
    except UserError:
        if record.is_new:
            record.discard()
        raise
    trials.reconcile()
    return trials


def _job(sweep: Sweep, record: SweepRecord, number: int) -> Job:
    """Return a job of a sweep; another process can have added it."""
    jobs = sweep.jobs or []
    if number < len(jobs):
        return jobs[number]
    assert sweep.from_record is not None
    return sweep.from_record(record.contents, number)


def labels(record: SweepRecord) -> Callable[[int], str]:
    """Return a function that labels each job by the arguments not shared by all jobs."""
    return distinguishing_arguments([entry["arguments"] for entry in record.jobs]).__getitem__


def _parallel(sweep: Sweep, gpus: int, in_processes: bool) -> int:
    """Return the number of jobs to run at once."""
    chosen = sweep.options.parallel
    if not in_processes:
        if chosen not in (1, "auto"):
            raise UserError(
                f"sweep.parallel: hydra/launcher=basic runs one job at a time, not {chosen}; drop the setting"
            )
        return 1
    number = max(1, gpus) if chosen == "auto" else chosen
    return min(number, len(sweep.jobs or []) if sweep.search is None else sweep.search.options.trials)


def _announce(
    sweep: Sweep, record: SweepRecord, trials: Trials | None, parallel: int, gpus: int, *, in_processes: bool
) -> None:
    """Report the directory and state of the sweep, and how the jobs share the machine."""
    if sweep.log == "quiet":
        return
    total = len(record.jobs) if trials is None else trials.total
    over = sum(entry["status"] in OVER for entry in record.jobs)
    left = total - over
    number = f"{total} {'job' if trials is None else 'trial'}{'s' * (total != 1)}"
    done = f", {over} already finished{' or pruned' * (trials is not None)}" if over else ""
    others = "" if record.is_alone else "; another process is also working on them"
    lines = [*sweep.repeated, f"{number} in {relative_path(record.directory)}{done}{others}"]
    if left and parallel > 1:
        threads = f"{record.threads or 'its own number of'} thread{'s' * (record.threads != 1)}"
        lines.append(f"{parallel} jobs at once, each {f'on one of {gpus} GPUs' if gpus else f'with {threads}'}")
    elif (
        in_processes and record.is_alone and left > 1 and not gpus and sweep.options.parallel == "auto" and cores() > 1
    ):
        lines.append(f"one job at a time; sweep.parallel={min(left, cores())} is often faster on {cores()} cores")
    for line in lines:
        Console().print(f"> {line}", soft_wrap=True)


def _process(config_dir: str | None, entry: str, gpus: list[str]) -> Launch:
    """Return a function that starts a job in its own process, on the GPU of its slot."""

    def launch(work: Work, slot: int) -> Execution:
        gpu = gpus[slot % len(gpus)] if gpus else None
        return JobProcess(entry, work, Share(work.threads, gpu), config_dir)

    return launch


def _in_this_process(import_function: Callable[[], Function]) -> Launch:
    function = import_function()

    def launch(work: Work, slot: int) -> Execution:  # noqa: ARG001 - there is only one slot
        return _InThisProcess(work, function)

    return launch


class _InThisProcess:
    """A job that runs in this process when it is created, and so has always ended."""

    def __init__(self, work: Work, function: Function) -> None:
        config = work.job.config
        provenance = replace(
            config.provenance, prepared=True, fingerprint=work.fingerprint, threads=work.threads, trial=work.trial
        )
        resume = str(work.directory) if work.resumes else None
        job = replace(work.job, config=replace(config, resume=resume, provenance=provenance))
        try:
            self._code = run_job_of_sweep(job, function)
        except SystemExit as exit_:  # a signal interrupted the job
            self._code = int(exit_.code or 0)
            if self._code > 128:
                signal.raise_signal(self._code - 128)
        finally:
            release_memory()

    def poll(self) -> int:
        """Return the exit code."""
        return self._code

    def stop(self, number: int, *, at_once: bool = False) -> None: ...
    def kill(self) -> None: ...
