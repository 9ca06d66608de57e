"""The launcher `hydra/launcher=slurm`: jobs are submitted with submitit, watched through squeue, and collected.

A job of Slurm is a process that works on the sweep in its directory, as any process that shares the directory does. So
the sweep's record says how far it is, whoever reads it.
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
from bisum.sweeps.cluster import ending, import_submitit, states, submit
from bisum.sweeps.display import best_score
from bisum.sweeps.outcome import Outcome
from bisum.sweeps.record import SweepRecord, is_open
from bisum.sweeps.report import resume_command
from bisum.sweeps.running import sweep_directory, trials_of, write_composed
from bisum.sweeps.search_report import report_end
from bisum.sweeps.slurm_node import OnNode
from bisum.sweeps.trials import Trials

_LOOK = 5.0
"""Seconds between two questions to Slurm, which serves a whole cluster."""
_PAUSE = 0.5
"""Seconds between two looks at the sweep's record."""
_SEARCH = -1
"""Stands for a search as a whole among the numbers of jobs."""
_CHATTER = ("submitit ", "srun: ", "slurmstepd")
"""What lines begin with that say nothing about a failure."""
_SUBMISSION = ".submission"
"""Lock of the submission of jobs, in the sweep's directory."""
_FOLDER = "slurm"
"""Folder of what submitit writes, in the sweep's directory."""


def run_on_slurm(sweep: Sweep, config_dir: str | None) -> int:
    """Submit the jobs that are left and that Slurm does not have yet; wait for all and compare them, or return at once.

    Args:
        sweep: the checked jobs, or a search.
        config_dir: the folder of `--config-dir`.

    Returns:
        0 if all jobs have finished, or if nobody waits for them; 1 if one failed, 128 + n if signal n ended the wait.

    Raises:
        UserError: Slurm or submitit is missing, Slurm refuses the jobs, or the sweep's directory cannot be used.
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
                with waiting_lock(directory / _SUBMISSION):  # two processes would submit the same jobs
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
    """A sweep whose jobs Slurm runs, as this process sees it."""

    def __init__(self, sweep: Sweep, record: SweepRecord, trials: Trials | None, options: SlurmOptions) -> None:
        self._sweep, self._record, self._trials, self._options = sweep, record, trials, options
        self._said: dict[int, str] = {}

    def submit(self, submitit: Any, config_dir: str | None) -> None:
        """Submit what Slurm does not have yet."""
        live = self._live()
        wanted = self._wanted(live)
        if live:
            self._say(f"> Slurm has {len(live)} job{'s' * (len(live) != 1)} of this sweep already")
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
            self._say(f"> submitted {len(ids)} {several} to Slurm as {ids[0].partition('_')[0]}")

    def leave(self) -> int:
        """Show how far the sweep is, and how to come back to it."""
        if not self._is_left():
            return report_end(self._record, self._trials)
        live = self._live()
        for number, entry in enumerate(self._record.jobs):
            has_begun = entry["status"] not in ("waiting", "interrupted")
            state = f" ({live[number]})" if number in live and not has_begun else ""
            self._say(f"job {number}: {entry['status']}{state}{self._score(number)}")
        self._say(f"> collect the results with: {resume_command(self._record.directory)}")
        return 0

    def wait(self) -> int | None:
        """Wait until no job is left, and return the signal that ended the wait, if any; the jobs go on then."""
        with interrupts() as state:
            try:
                self._watch()
            except Interrupted:
                self._say(f"> the jobs keep running; {resume_command(self._record.directory)} collects the results")
                return state.signal
        return None

    def _watch(self) -> None:
        """Print what changes until no job is left, or until Slurm has none of the jobs that are."""
        missing, gone, looked, live = set[int](), set[int](), -_LOOK, dict[Any, str]()
        while self._is_left():
            if time.monotonic() - looked >= _LOOK:
                looked = time.monotonic()
                try:
                    live = self._live()
                    absent = self._absent(live)
                    gone = missing & absent  # once, Slurm may lose sight of a job that is queued again
                    self._give_up(gone)
                    missing = absent
                except UserError as error:  # its controller restarts, for instance
                    self._say(f"> {error}; retrying")
            self._tell_news(live)
            if gone and not live:
                break
            time.sleep(_PAUSE)
        self._tell_news({})

    def _absent(self, live: Mapping[Any, str]) -> set[int]:
        """Return the jobs that are left and that Slurm no longer has; for a search, of which any worker takes any."""
        if self._trials is None:
            return {number for number in self._open() if number not in live}
        return {_SEARCH, *self._open()} if not live else set()

    def _wanted(self, live: Mapping[int | None, str]) -> list[int | None]:
        """Return the jobs to submit; None for each worker of a search, which takes any."""
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
        """Return whether a job is to be run, or a trial to be chosen."""
        is_search_open = self._trials is not None and not self._trials.is_over()
        return is_search_open or next(self._open(), None) is not None

    def _live(self) -> dict[Any, str]:
        """Return the states of the sweep's jobs that Slurm has, by their numbers or, for workers, their ids."""
        submissions = {entry["id"]: entry["job"] for entry in self._record.contents["slurm"]}
        if not submissions:
            return {}
        known = states()
        return {(id_ if job is None else job): known[id_] for id_, job in submissions.items() if id_ in known}

    def _tell_news(self, live: Mapping[Any, str]) -> None:
        """Print what has changed since the last time, a line a job; `live` are the states of those that Slurm has."""
        for number, entry in enumerate(self._record.jobs):
            state = entry["status"]
            if state in ("waiting", "interrupted"):
                state = live.get(number, state)
            if self._said.get(number, "waiting") != state:
                why = f": {printable(str(entry['reason']))}" if state == "failed" else self._score(number)
                self._say(f"job {number} {state}{why}")
            self._said[number] = state

    def _score(self, number: int) -> str:
        return best_score(readable_record(self._record.path(number)), ", ")

    def _give_up(self, numbers: Set[int]) -> None:
        """Record why jobs are left that Slurm no longer has."""
        ids = {entry["job"]: entry["id"] for entry in self._record.contents["slurm"]}
        for number in sorted(numbers):
            id_ = str(ids.get(number, ids.get(None)))
            if number == _SEARCH:
                complain(
                    f"job {id_} of Slurm, which worked on this search, has ended{ending(id_)}{self._last_words(id_)}"
                )
            elif self._record.jobs[number]["status"] != "interrupted" and not self._record.is_elsewhere(number):
                why = f"{ending(id_)}{self._last_words(id_)}"
                reason = f"job {id_} of Slurm ended before it could record a reason{why}"
                self._record.settle(number, Outcome("failed", reason), {})

    def _last_words(self, id_: str | None) -> str:
        """Return the end of what a job of Slurm has printed."""
        logs = sorted((self._record.directory / _FOLDER).glob(f"{id_}_*_log.out"))
        printed = (line.strip() for log in logs for line in log.read_text("utf-8", "replace").splitlines())
        lines = [line for line in printed if line and not line.startswith(_CHATTER)]
        return f"; its last line: {printable(lines[-1])[:300]}" if lines else ""

    def _say(self, text: str) -> None:
        if self._sweep.log != "quiet":
            Console().print(text, soft_wrap=True)


def _check(sweep: Sweep, options: SlurmOptions) -> None:
    """Refuse jobs that cannot run as they are on a node."""
    for job in [sweep.example, *(sweep.jobs or ())]:
        if job.config.hardware.device == "gpu" and not options.gpus:
            raise UserError("hydra.launcher.gpus: hardware=gpu needs a GPU; add hydra.launcher.gpus=1")
        if masked := job.config.provenance.recorded.masked:
            key = ".".join(map(str, masked[0]))
            raise UserError(
                f"{key}: holds a password, which would be written to a file for Slurm; give it as "
                f"'{key}=${{oc.env:VARIABLE}}' and export the variable"
            )
