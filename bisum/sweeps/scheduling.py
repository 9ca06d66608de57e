"""The scheduler of a sweep: starts jobs while places are free, watches them, and records how each ends."""

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

_TICK = 0.1
"""Seconds between two looks at the jobs."""
_LOOK_AROUND = 1.0
"""Seconds between two looks at what other processes have done."""
_GRACE = 30.0
"""Seconds that a hanging job has to stop by itself."""
_AT_ONCE = 3.0
"""Seconds that jobs have to record a second signal before they are killed."""
_DATA = ("corpus", "filter", "languages", "seed", "split")
"""Keys that determine which rows a job reads."""


@dataclass
class Running:
    """A job that this process has started."""

    work: Work
    execution: Execution
    place: int
    began: float
    """Seconds of the monotonic clock, as in all times below: the clock of a file system may be another."""
    before: tuple[int, ...]
    """What distinguishes the `run.json` of an earlier try from that of this one."""
    moved: float
    """When it last made progress."""
    progress: tuple[int, ...] = ()
    """What distinguishes the state of its progress at that time."""
    hung: float | None = None
    """When it was stopped for making no progress."""


@dataclass
class Scheduler:
    """Works on the jobs of a sweep until none is left that it could run."""

    record: SweepRecord
    job: Callable[[int], Job]
    """Returns a job of the record by its number."""
    options: SweepOptions
    parallel: int
    """Jobs that this process runs at once."""
    launch: Launch
    display: SweepDisplay
    trials: Trials | None = None
    """What adds jobs, if the sweep is a search."""
    only: int | None = None
    """The job to work on, if it is only one."""
    waits: bool = True
    """Whether to wait for jobs that other processes run, to run them if those are killed."""
    stopped_by: int | None = None
    """The signal that stopped the work, if any."""
    failed_fast: bool = False
    """Whether a failure stopped the work, because of `sweep.fail_fast`."""
    _running: dict[int, Running] = field(default_factory=dict)
    _looked: float = -math.inf

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
                    time.sleep(_TICK)
            except Interrupted:
                self.stopped_by = state.signal or signal.SIGTERM
                self._end(self.stopped_by, at_once=True)
            except BaseException:  # such as a full disk, which keeps the record from being written
                self._end(signal.SIGTERM)
                raise

    @property
    def _stopping(self) -> bool:
        return self.stopped_by is not None or self.failed_fast

    def _is_work_left(self) -> bool:
        """Return whether a job is to be run, by this process or by one that has it."""
        if self.trials is not None and not self.trials.is_over():
            return True
        return any(
            is_open(entry, self.options.retries) and (self.waits or not self.record.is_elsewhere(number))
            for number, entry in self._entries()
        )

    def _entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the entries of the jobs to work on, with their numbers."""
        for number, entry in enumerate(self.record.jobs):
            if self.only in (None, number):
                yield number, entry

    def _start_jobs(self) -> None:
        """Start jobs while there is a place; look for those of other processes only now and then."""
        if len(self._running) >= self.parallel or time.monotonic() - self._looked < _LOOK_AROUND:
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
        self._looked = time.monotonic()

    def _start(self, number: int) -> bool:
        """Start a job, unless another process has it; return whether it was this process's to run."""
        try:
            claim = self.record.claim(number, self.options.retries)
        except (UserError, OSError) as error:
            self._settle_refused(number, str(error))
            return True
        if claim is None:
            return False
        directory = self.record.path(number)
        try:
            job, run = self.job(number), readable_record(directory)
            if run.get("status") in OVER:  # the sweep's process was killed before it could note that
                self._settle(number, Outcome(run["status"]), run)
                claim.close()
                return True
            resumes = bool(run) and job.config.provenance.command == "train"
            if run and not resumes:
                clear(directory)
            (directory / PROGRESS).unlink(missing_ok=True)
            threads = run.get("threads") or self.record.threads or self._of_others("threads")
            fingerprint = self._of_others("fingerprint", self._data(number))
            trial = None if self.trials is None else self.trials.begin(number)
            work = Work(number, job, directory, claim, resumes, threads, trial, fingerprint)
            place = min({*range(self.parallel)} - {running.place for running in self._running.values()})
            self.display.begin(work)
            before, began = version_of(directory / "run.json"), time.monotonic()
            self._running[number] = Running(work, self.launch(work, place), place, began, before, began)
        except (UserError, OSError) as error:
            self._settle_refused(number, str(error))
            claim.close()
        return True

    def _of_others(self, entry: str, data: str | None = None) -> Any:
        """Return what a finished job of any process has recorded: of the jobs that read the same `data`, if given."""
        for number, of_job in enumerate(self.record.jobs):
            if of_job[entry] is not None and (data is None or data == self._data(number)):
                return of_job[entry]
        return None

    def _data(self, number: int) -> str:
        """Return what determines which rows a job reads."""
        resolved = record_of_job(self.record.contents, self.record.jobs[number])["config"]
        return json.dumps({key: resolved[key] for key in _DATA if key in resolved}, sort_keys=True, default=str)

    def _collect(self) -> None:
        """Note which jobs have ended, and stop those that hang."""
        for number, running in [*self._running.items()]:
            code = running.execution.poll()
            if code is None:
                self._check_progress(running)
                continue
            if code < 0:
                running.execution.kill()  # what it has started
            del self._running[number]
            self._looked = -math.inf
            self._note_end(number, running, code)
            running.work.claim.close()

    def _note_end(self, number: int, running: Running, code: int) -> None:
        directory = running.work.directory
        is_new = version_of(directory / "run.json") != running.before
        run = readable_record(directory) if is_new else {}
        idle = self.options.timeout if running.hung is not None else None
        outcome = outcome_of(code, directory, run, stopped=self._stopping, idle=idle)
        if outcome.status == "waiting" and readable_record(directory):
            outcome = Outcome("interrupted")
        if outcome.status == "failed" and not outcome.is_recorded:
            known = {**record_of_job(self.record.contents, self.record.jobs[number]), **readable_record(directory)}
            with suppress(OSError):  # the sweep's record has the reason, too
                record_failure(directory, known, str(outcome.reason), code if code > 0 else 128 - code)
        self._settle(number, outcome, run)

    def _settle_refused(self, number: int, reason: str) -> None:
        """Record that a job cannot be started."""
        self._settle(number, Outcome("failed", reason, is_final=True), {})

    def _settle(self, number: int, outcome: Outcome, run: Mapping[str, Any]) -> None:
        if self.trials is not None and outcome.status in OVER:
            self.trials.tell(number, outcome.status)  # first, since nobody asks again about a job that is settled
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
        """Report a job that has read other rows than one that ran beside it, from the same data."""
        for other, found in enumerate(self.record.jobs):
            read = {found["fingerprint"], entry["fingerprint"]}
            if None not in read and len(read) > 1 and self._data(other) == self._data(number):
                complain(f"jobs {other} and {number} have the same data but read different rows: a file has changed")
                return

    def _check_progress(self, running: Running) -> None:
        """Stop a job that has made no progress for too long, and end it if it does not stop."""
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
        """End the running jobs, `at_once` without a checkpoint; further signals change nothing."""
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        self.stopped_by = number
        running = self._running.values()
        for job in running:
            job.execution.stop(number, at_once=at_once)
        deadline = time.monotonic() + (_AT_ONCE if at_once else _GRACE)
        while time.monotonic() < deadline and any(job.execution.poll() is None for job in running):
            time.sleep(_TICK)
        for job in running:
            if job.execution.poll() is None:
                job.execution.kill()
        with suppress(OSError, UserError):
            self._collect()
