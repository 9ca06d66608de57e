"""The launcher `hydra/launcher=slurm`: submits jobs with submitit, watches them with squeue and collects the results.

A Slurm job is a process that works on the sweep in its directory, like any other process that shares the directory. Its
progress is in the sweep's record.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Set
from typing import Any

from bisum.config.hydra_node import slurm_options
from bisum.config.options import SlurmOptions
from bisum.config.sweep import Sweep
from bisum.display.console import Console
from bisum.errors import UserError, complain, printable
from bisum.runs.lock import waiting_lock
from bisum.runs.record import readable_record
from bisum.runs.signals import Interrupted, interrupts
from bisum.runs.sweep import OVER
from bisum.sweeps.callbacks import Callbacks
from bisum.sweeps.cluster import end_state, import_submitit, states, submit
from bisum.sweeps.display import best_score
from bisum.sweeps.outcome import Outcome
from bisum.sweeps.record import SweepRecord, is_open
from bisum.sweeps.report import resume_command
from bisum.sweeps.running import sweep_directory, trials_of, write_composed
from bisum.sweeps.search_report import report_end
from bisum.sweeps.slurm_node import OnNode
from bisum.sweeps.trials import Trials

_QUERY_INTERVAL = 5.0
"""Seconds between queries to Slurm, which serves a whole cluster."""
_READ_INTERVAL = 0.5
"""Seconds between reads of the sweep's record."""
_SEARCH = -1
"""Number that represents a whole search among job numbers."""
_IRRELEVANT = ("submitit ", "srun: ", "slurmstepd")
"""Prefixes of output lines that do not explain a failure."""
_SUBMISSION = ".submission"
"""Lock held while jobs are submitted, in the sweep's directory."""
_FOLDER = "slurm"
"""Folder of submitit's files, in the sweep's directory."""


def run_on_slurm(sweep: Sweep, config_dir: str | None) -> int:
    """Submit the open jobs that Slurm does not have yet, then wait for all jobs and compare them, or return at once.

    Args:
        sweep: the checked jobs, or a search.
        config_dir: the folder of `--config-dir`.

    Returns:
        0 if all jobs have finished, or without waiting; 1 if one failed, 128 + n if signal n ended the wait.

    Raises:
        UserError: Slurm or submitit is missing, Slurm rejects the jobs, or the sweep's directory cannot be used.
    """
    options = slurm_options(sweep.composed.hydra)
    submitit = import_submitit()
    callbacks = Callbacks(sweep.composed)
    _check(sweep, options)
    directory = sweep_directory(sweep)
    record = SweepRecord(sweep, config_dir, options.cpus)
    try:
        trials = trials_of(sweep, record)
        if record.is_new:
            write_composed(sweep, directory)
        sweep_on_slurm = _SweepOnSlurm(sweep, record, trials, options)
        command = record.contents["command"]
        callbacks.on_multirun_start(config=sweep.composed, config_name=command)
        try:
            try:
                with waiting_lock(directory / _SUBMISSION):  # two processes could submit the same jobs
                    sweep_on_slurm.submit(submitit, config_dir)
            except UserError:
                if record.is_new and not record.contents["slurm"]:
                    shutil.rmtree(directory / _FOLDER, ignore_errors=True)
                    record.discard()
                raise
            if not sweep.options.wait:
                return sweep_on_slurm.leave()
            stopped_by = sweep_on_slurm.wait()
        finally:
            callbacks.on_multirun_end(config=sweep.composed, config_name=command)
        code = report_end(record, trials)
        return code if stopped_by is None else 128 + stopped_by
    finally:
        record.close()


class _SweepOnSlurm:
    """This process's view of a sweep whose jobs run on Slurm."""

    def __init__(self, sweep: Sweep, record: SweepRecord, trials: Trials | None, options: SlurmOptions) -> None:
        self._sweep, self._record, self._trials, self._options = sweep, record, trials, options
        self._reported: dict[int, str] = {}

    def submit(self, submitit: Any, config_dir: str | None) -> None:
        """Submit the jobs that Slurm does not have yet."""
        live = self._live()
        wanted = self._wanted(live)
        if live:
            self._print(f"> Slurm already has {len(live)} job{'s' * (len(live) != 1)} of this sweep")
        if not wanted:
            return
        directory = str(self._record.directory.absolute())
        folder = self._record.directory.absolute() / _FOLDER
        size, chosen = self._options.array_size, self._sweep.options.parallel
        for at in range(0, len(wanted), size):
            part = wanted[at : at + size]
            parallel = len(part) if chosen == "auto" else min(chosen, len(part))
            nodes = [OnNode(directory, number, config_dir, self._sweep.given) for number in part]
            ids = submit(submitit, folder, self._options, nodes, parallel)
            with self._record.locked() as record:
                record["slurm"] += [{"id": id_, "job": number} for id_, number in zip(ids, part, strict=True)]
            what = "job" if self._trials is None else "worker"
            several = f"{what}s, {parallel} at once," if len(ids) > 1 else what
            self._print(f"> submitted {len(ids)} {several} to Slurm as {ids[0].partition('_')[0]}")

    def leave(self) -> int:
        """Show the state of the sweep and the command that collects its results."""
        if not self._is_left():
            return report_end(self._record, self._trials)
        live = self._live()
        for number, entry in enumerate(self._record.jobs):
            has_begun = entry["status"] not in ("waiting", "interrupted")
            state = f" ({live[number]})" if number in live and not has_begun else ""
            self._print(f"job {number}: {entry['status']}{state}{self._score(number)}")
        self._print(f"> collect the results with: {resume_command(self._record.directory)}")
        return 0

    def wait(self) -> int | None:
        """Wait until no job is left, and return the signal that ended the wait, if any; the jobs keep running."""
        with interrupts() as state:
            try:
                self._watch()
            except Interrupted:
                self._print(
                    f"> the jobs keep running; collect the results with: {resume_command(self._record.directory)}"
                )
                return state.signal
        return None

    def _watch(self) -> None:
        """Print changes until no job is left, or until Slurm has none of the remaining jobs."""
        missing, gone, looked, live = set[int](), set[int](), -_QUERY_INTERVAL, dict[Any, str]()
        while self._is_left():
            if time.monotonic() - looked >= _QUERY_INTERVAL:
                looked = time.monotonic()
                try:
                    live = self._live()
                    absent = self._absent(live)
                    gone = missing & absent  # a requeued job can be absent from one query
                    self._give_up(gone)
                    missing = absent
                except UserError as error:  # for instance, Slurm's controller restarts
                    self._print(f"> {error}; retrying")
            self._print_changes(live)
            if gone and not live:
                break
            time.sleep(_READ_INTERVAL)
        self._print_changes({})

    def _absent(self, live: Mapping[Any, str]) -> set[int]:
        """Return the remaining jobs that Slurm no longer has; for a search, nothing while it has any worker."""
        if self._trials is None:
            return {number for number in self._open() if number not in live}
        return {_SEARCH, *self._open()} if not live else set()

    def _wanted(self, live: Mapping[int | None, str]) -> list[int | None]:
        """Return the jobs to submit; None denotes a worker of a search, which runs any job."""
        if self._trials is None:
            return [number for number in self._open() if number not in live]
        chosen = self._sweep.options.parallel
        left = self._trials.total - sum(e["status"] in OVER for e in self._record.jobs)
        workers = min(1 if chosen == "auto" else chosen, left)
        return [None] * max(0, workers - len(live))

    def _open(self) -> Iterator[int]:
        retries = self._sweep.options.retries
        return (number for number, entry in enumerate(self._record.jobs) if is_open(entry, retries))

    def _is_left(self) -> bool:
        """Return whether a job has to run or a trial has to be chosen."""
        is_search_open = self._trials is not None and not self._trials.is_over()
        return is_search_open or next(self._open(), None) is not None

    def _live(self) -> dict[Any, str]:
        """Return the states of the sweep's jobs in Slurm by number or, for workers, by id."""
        submissions = {entry["id"]: entry["job"] for entry in self._record.contents["slurm"]}
        if not submissions:
            return {}
        known = states()
        return {(id_ if job is None else job): known[id_] for id_, job in submissions.items() if id_ in known}

    def _print_changes(self, live: Mapping[Any, str]) -> None:
        """Print a line for each job that has changed since the last call; `live` are the states in Slurm."""
        for number, entry in enumerate(self._record.jobs):
            state = entry["status"]
            if state in ("waiting", "interrupted"):
                state = live.get(number, state)
            if self._reported.get(number, "waiting") != state:
                why = f": {printable(str(entry['reason']))}" if state == "failed" else self._score(number)
                self._print(f"job {number} {state}{why}")
            self._reported[number] = state

    def _score(self, number: int) -> str:
        return best_score(readable_record(self._record.path(number)), ", ")

    def _give_up(self, numbers: Set[int]) -> None:
        """Record the failure of remaining jobs that Slurm no longer has."""
        ids = {entry["job"]: entry["id"] for entry in self._record.contents["slurm"]}
        for number in sorted(numbers):
            id_ = str(ids.get(number, ids.get(None)))
            if number == _SEARCH:
                complain(f"Slurm job {id_}, a worker of this search, has ended{end_state(id_)}{self._last_output(id_)}")
            elif self._record.jobs[number]["status"] != "interrupted" and not self._record.is_elsewhere(number):
                why = f"{end_state(id_)}{self._last_output(id_)}"
                reason = f"Slurm job {id_} ended before it could record a reason{why}"
                self._record.settle(number, Outcome("failed", reason), {})

    def _last_output(self, id_: str | None) -> str:
        """Return the last output line of a Slurm job."""
        logs = sorted((self._record.directory / _FOLDER).glob(f"{id_}_*_log.out"))
        printed = (line.strip() for log in logs for line in log.read_text("utf-8", "replace").splitlines())
        lines = [line for line in printed if line and not line.startswith(_IRRELEVANT)]
        return f"; last line of its output: {printable(lines[-1])[:300]}" if lines else ""

    def _print(self, text: str) -> None:
        if self._sweep.log != "quiet":
            Console().print(text, soft_wrap=True)


def _check(sweep: Sweep, options: SlurmOptions) -> None:
    """Refuse jobs that cannot run on a node."""
    for job in [sweep.example, *(sweep.jobs or ())]:
        if job.config.hardware.device == "gpu" and not options.gpus:
            raise UserError("hydra.launcher.gpus: hardware=gpu needs a GPU; add hydra.launcher.gpus=1")
        if masked := job.config.provenance.recorded.masked:
            key = ".".join(map(str, masked[0]))
            raise UserError(
                f"{key}: contains a password, which would be written to a file for Slurm; set "
                f"'{key}=${{oc.env:VARIABLE}}' and export the variable"
            )
