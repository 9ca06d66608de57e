"""The scheduler of a sweep: starts jobs while slots are free, watches them and records their outcomes."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bisum.config.jobs import Job
from bisum.config.options import SweepOptions
from bisum.errors import UserError, complain
from bisum.records.run import clear, record_failure
from bisum.runs.files import version_of
from bisum.runs.progress import PROGRESS
from bisum.runs.record import readable_record
from bisum.runs.signals import Interrupted, interrupts
from bisum.runs.sweep import OVER, record_of_job
from bisum.sweeps.display import SweepDisplay
from bisum.sweeps.outcome import Outcome, outcome_of
from bisum.sweeps.record import SweepRecord, is_open
from bisum.sweeps.trials import Trials
from bisum.sweeps.work import Execution, Launch, Work

_POLL_INTERVAL = 0.1
"""Seconds between checks of the jobs."""
_CLAIM_INTERVAL = 1.0
"""Seconds between checks for jobs left by other processes."""
_GRACE = 30.0
"""Seconds for a hanging job to stop by itself."""
_KILL_DELAY = 3.0
"""Seconds for jobs to record a second signal before they are killed."""
_DATA_KEYS = ("corpus", "filter", "languages", "seed", "split")
"""Keys that determine which rows a job reads."""


@dataclass
class Running:
    """A job started by this process."""

    work: Work
    execution: Execution
    slot: int
    began: float
    """Start in seconds of the monotonic clock, like all times below; the clock of a file system can differ."""
    before: tuple[int, ...]
    """Version of an earlier try's `run.json`, which distinguishes it from the current one."""
    moved: float
    """Time of its last progress."""
    progress: tuple[int, ...] = ()
    """Version of its progress file at that time."""
    hung: float | None = None
    """Time at which it was stopped for lack of progress."""


@dataclass
class Scheduler:
    """Runs the jobs of a sweep until none is left that it can run."""

    record: SweepRecord
    job: Callable[[int], Job]
    """Returns a job of the record by its number."""
    options: SweepOptions
    parallel: int
    """Number of jobs that this process runs at once."""
    launch: Launch
    display: SweepDisplay
    trials: Trials | None = None
    """The trials, which add jobs, if the sweep is a search."""
    only: int | None = None
    """The only job to work on; None: all."""
    waits: bool = True
    """Whether to wait for jobs of other processes, to run them if those processes are killed."""
    stopped_by: int | None = None
    """The signal that stopped the work, if any."""
    failed_fast: bool = False
    """Whether a failure stopped the work (`sweep.fail_fast`)."""
    _running: dict[int, Running] = field(default_factory=dict)
    _last_look: float = -math.inf

    def work(self) -> None:
        """Run the jobs; a first signal lets them save a checkpoint and stop, a second one ends them at once."""
        with interrupts() as state:
            state.deferred = True
            try:
                while True:
                    if state.signal is not None and self.stopped_by is None:
                        self.stopped_by = state.signal
                        self._stop(state.signal)
                    self._collect()
                    if not self._stopping:
                        self._start_jobs()
                    if not self._running and (self._stopping or not self._is_work_left()):
                        break
                    self.display.show(self.record, self._running)
                    time.sleep(_POLL_INTERVAL)
            except Interrupted:
                self.stopped_by = state.signal or signal.SIGTERM
                self._end(self.stopped_by, at_once=True)
            except BaseException:  # for instance, a full disk on which the record cannot be written
                self._end(signal.SIGTERM)
                raise

    @property
    def _stopping(self) -> bool:
        return self.stopped_by is not None or self.failed_fast

    def _is_work_left(self) -> bool:
        """Return whether a job remains, for this process or the one that has claimed it."""
        if self.trials is not None and not self.trials.is_over():
            return True
        return any(
            is_open(entry, self.options.retries) and (self.waits or not self.record.is_elsewhere(number))
            for number, entry in self._entries()
        )

    def _entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the jobs to work on: numbers and entries."""
        for number, entry in enumerate(self.record.jobs):
            if self.only in (None, number):
                yield number, entry

    def _start_jobs(self) -> None:
        """Start jobs while slots are free; check for jobs of other processes only at intervals."""
        if len(self._running) >= self.parallel or time.monotonic() - self._last_look < _CLAIM_INTERVAL:
            return
        for number, entry in self._entries():
            if number in self._running or not is_open(entry, self.options.retries):
                continue
            if not self._start(number):
                continue
            if self._stopping or len(self._running) >= self.parallel:
                return
        if self.trials is not None and (added := self.trials.next()) is not None:
            self._start(added)
            return
        self._last_look = time.monotonic()

    def _start(self, number: int) -> bool:
        """Start a job, unless another process has it; return whether this process has claimed it."""
        try:
            claim = self.record.claim(number, self.options.retries)
        except (UserError, OSError) as error:
            self._settle_unstartable(number, str(error))
            return True
        if claim is None:
            return False
        directory = self.record.path(number)
        try:
            job, run = self.job(number), readable_record(directory)
            if run.get("status") in OVER:  # the sweep's process was killed before it recorded that
                self._settle(number, Outcome(run["status"]), run)
                claim.close()
                return True
            resumes = bool(run) and job.config.provenance.command == "train"
            if run and not resumes:
                clear(directory)
            (directory / PROGRESS).unlink(missing_ok=True)
            threads = run.get("threads") or self.record.threads or self._value_of_another("threads")
            fingerprint = self._value_of_another("fingerprint", self._data(number))
            trial = None if self.trials is None else self.trials.begin(number)
            work = Work(number, job, directory, claim, resumes, threads, trial, fingerprint)
            slot = min({*range(self.parallel)} - {running.slot for running in self._running.values()})
            self.display.begin(work)
            before, began = version_of(directory / "run.json"), time.monotonic()
            self._running[number] = Running(work, self.launch(work, slot), slot, began, before, began)
        except (UserError, OSError) as error:
            self._settle_unstartable(number, str(error))
            claim.close()
        return True

    def _value_of_another(self, entry: str, data: str | None = None) -> Any:
        """Return the value of `entry` in any finished job, or in one that reads the same `data`, if given."""
        for number, other in enumerate(self.record.jobs):
            if other[entry] is not None and (data is None or data == self._data(number)):
                return other[entry]
        return None

    def _data(self, number: int) -> str:
        """Return the settings that determine which rows a job reads, as text."""
        resolved = record_of_job(self.record.contents, self.record.jobs[number])["config"]
        return json.dumps({key: resolved[key] for key in _DATA_KEYS if key in resolved}, sort_keys=True, default=str)

    def _collect(self) -> None:
        """Record the jobs that have ended, and stop those that hang."""
        for number, running in [*self._running.items()]:
            code = running.execution.poll()
            if code is None:
                self._check_progress(running)
                continue
            if code < 0:
                running.execution.kill()  # its child processes
            del self._running[number]
            self._last_look = -math.inf
            self._record_end(number, running, code)
            running.work.claim.close()

    def _record_end(self, number: int, running: Running, code: int) -> None:
        directory = running.work.directory
        is_new = version_of(directory / "run.json") != running.before
        run = readable_record(directory) if is_new else {}
        idle = self.options.timeout if running.hung is not None else None
        outcome = outcome_of(code, directory, run, stopped=self._stopping, idle=idle)
        if outcome.status == "waiting" and readable_record(directory):
            outcome = Outcome("interrupted")
        if outcome.status == "failed" and not outcome.is_recorded:
            known = {**record_of_job(self.record.contents, self.record.jobs[number]), **readable_record(directory)}
            with suppress(OSError):  # the sweep's record also has the reason
                record_failure(directory, known, str(outcome.reason), code if code > 0 else 128 - code)
        self._settle(number, outcome, run)

    def _settle_unstartable(self, number: int, reason: str) -> None:
        """Record that a job cannot be started."""
        self._settle(number, Outcome("failed", reason, is_final=True), {})

    def _settle(self, number: int, outcome: Outcome, run: Mapping[str, Any]) -> None:
        if self.trials is not None and outcome.status in OVER:
            self.trials.tell(number, outcome.status)  # first, since a settled job is not reported again
        entry = self.record.settle(number, outcome, run)
        if outcome.status == "finished":
            self._check_rows(number, entry)
        again = outcome.status == "failed" and not self._stopping and is_open(entry, self.options.retries)
        self.display.end(number, outcome, run, again=again)
        if outcome.status == "failed" and not again and self.trials is not None:
            self.trials.tell(number, "failed")
        if outcome.status == "failed" and not again and self.options.fail_fast and not self._stopping:
            self.failed_fast = True
            self._stop(signal.SIGTERM)

    def _check_rows(self, number: int, entry: Mapping[str, Any]) -> None:
        """Report if a job has read different rows than another job with the same data."""
        for other, found in enumerate(self.record.jobs):
            read = {found["fingerprint"], entry["fingerprint"]}
            if None not in read and len(read) > 1 and self._data(other) == self._data(number):
                complain(
                    f"jobs {other} and {number} have the same data settings but read different rows; a file has changed"
                )
                return

    def _check_progress(self, running: Running) -> None:
        """Stop a job without progress for too long, and kill it if it does not stop."""
        now = time.monotonic()
        if (progress := version_of(running.work.directory / PROGRESS)) != running.progress:
            running.progress, running.moved = progress, now
        if running.hung is not None:
            if now - running.hung > _GRACE:
                running.execution.kill()
        elif self.options.timeout is not None and now - running.moved > self.options.timeout * 60:
            running.hung = now
            running.execution.stop(signal.SIGTERM)

    def _stop(self, number: int) -> None:
        """Ask the running jobs to save a checkpoint and stop."""
        running = [job for job in self._running.values() if job.execution.poll() is None]
        if running:
            self.display.stopping(number if self.stopped_by is not None else None, len(running))
        for job in running:
            job.execution.stop(number)

    def _end(self, number: int, *, at_once: bool = False) -> None:
        """End the running jobs, `at_once` without a checkpoint; further signals are ignored."""
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        self.stopped_by = number
        running = self._running.values()
        for job in running:
            job.execution.stop(number, at_once=at_once)
        deadline = time.monotonic() + (_KILL_DELAY if at_once else _GRACE)
        while time.monotonic() < deadline and any(job.execution.poll() is None for job in running):
            time.sleep(_POLL_INTERVAL)
        for job in running:
            if job.execution.poll() is None:
                job.execution.kill()
        with suppress(OSError, UserError):
            self._collect()
