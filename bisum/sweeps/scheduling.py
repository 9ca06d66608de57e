"""The sweep at work: it starts jobs where there is a place, watches them, and records how each ends."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bisum.config.jobs import Job
from bisum.config.options import SweepOptions
from bisum.errors import UserError, printable
from bisum.records.run import clear, record_failure
from bisum.runs.progress import PROGRESS
from bisum.runs.record import read_record
from bisum.runs.signals import Interrupted, interrupts
from bisum.runs.sweep import record_of_job
from bisum.sweeps.display import SweepDisplay
from bisum.sweeps.record import SweepRecord, is_open
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
    jobs: Sequence[Job]
    options: SweepOptions
    parallel: int
    """Jobs that this process runs at once."""
    launch: Launch
    display: SweepDisplay
    stopped_by: int | None = None
    """The signal that stopped the work, if any."""
    failed_fast: bool = False
    """Whether a failure stopped the work, because of `sweep.fail_fast`."""
    _running: dict[int, Running] = field(default_factory=dict)
    _looked: float = -math.inf
    _fingerprints: dict[str, str] = field(default_factory=dict)
    _threads: int | None = None

    def work(self) -> None:
        """Run the jobs; a first signal lets them save a checkpoint and stop, a second one ends them at once."""
        for number, entry in enumerate(self.record.jobs):
            if entry["status"] != "waiting":
                self._learn(number, _record(self.record.path(number)))
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
                self._end_at_once(state.signal or signal.SIGTERM)
            except BaseException:
                self._end_at_once(signal.SIGTERM)
                raise

    @property
    def _stopping(self) -> bool:
        return self.stopped_by is not None or self.failed_fast

    def _is_work_left(self) -> bool:
        """Return whether a job is to be run, by this process or by one that has it."""
        return any(is_open(entry, self.options.retries) for entry in self.record.jobs)

    def _start_jobs(self) -> None:
        """Start jobs while there is a place; look for those of other processes only now and then."""
        if len(self._running) >= self.parallel or time.monotonic() - self._looked < _LOOK_AROUND:
            return
        for number, entry in enumerate(self.record.jobs):
            if number in self._running or not is_open(entry, self.options.retries):
                continue
            if not self._start(number):
                continue
            if self._stopping or len(self._running) >= self.parallel:
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
        directory, job = self.record.path(number), self.jobs[number]
        try:
            run = _record(directory)
            if run.get("status") == "finished":  # the sweep's process was killed before it could note that
                self._settle(number, "finished")
                claim.close()
                return True
            resumes = bool(run) and job.config.provenance.command == "train"
            if run and not resumes:
                clear(directory)
            (directory / PROGRESS).unlink(missing_ok=True)
            threads = run.get("threads") or self.record.threads or self._threads
            fingerprint = self._fingerprints.get(_data_key(job))
            work = Work(number, job, directory, claim, resumes, threads, fingerprint)
            place = min({*range(self.parallel)} - {running.place for running in self._running.values()})
            self.display.begin(work)
            before, began = _state(directory / "run.json"), time.monotonic()
            self._running[number] = Running(work, self.launch(work, place), place, began, before, began)
        except OSError as error:
            claim.close()
            self._settle_refused(number, str(error))
        return True

    def _learn(self, number: int, run: Mapping[str, Any]) -> None:
        """Note what later jobs must have in common with a run: the threads, and the rows of the same data."""
        self._threads = self._threads or run.get("threads")
        if fingerprint := (run.get("data") or {}).get("fingerprint"):
            self._fingerprints.setdefault(_data_key(self.jobs[number]), fingerprint)

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
        run = _record(directory) if _state(directory / "run.json") != running.before else {}
        status, reason = run.get("status"), run.get("reason")
        if code == 0 and status == "finished":
            self._settle(number, "finished")
            return
        if self._stopping and running.hung is None and (status == "interrupted" or code < 0 or code > 128):
            self._settle(number, "interrupted" if run or _record(directory) else "waiting")
            return
        if running.hung is not None:
            reason = f"no progress for {self.options.timeout:g} minutes (sweep.timeout), so it was stopped"
        elif status == "interrupted":
            reason = f"stopped by {reason}, which the sweep did not send"
        elif status != "failed":
            reason = _why(code, directory)
        if status != "failed" or running.hung is not None:
            known = record_of_job(self.record.contents, self.record.jobs[number])
            with suppress(OSError):  # the sweep's record has the reason, too
                record_failure(
                    directory, {**known, **_record(directory)}, str(reason), code if code > 0 else 128 - code
                )
        self._settle(number, "failed", str(reason), final=code == 2)

    def _settle_refused(self, number: int, reason: str) -> None:
        """Record that a job cannot be started."""
        self._settle(number, "failed", reason, final=True)

    def _settle(self, number: int, status: str, reason: str | None = None, *, final: bool = False) -> None:
        self.record.settle(number, status, reason, final=final)
        entry, run = self.record.jobs[number], _record(self.record.path(number))
        self._learn(number, run)
        again = status == "failed" and not self._stopping and is_open(entry, self.options.retries)
        self.display.end(number, entry, run, again=again)
        if status == "failed" and not again and self.options.fail_fast and not self._stopping:
            self.failed_fast = True
            self._stop(signal.SIGTERM)

    def _check_progress(self, running: Running) -> None:
        """Stop a job that has made no progress for too long, and end it if it does not stop."""
        now = time.monotonic()
        if (progress := _state(running.work.directory / PROGRESS)) != running.progress:
            running.progress, running.moved = progress, now
        if running.hung is not None:
            if now - running.hung > _GRACE:
                running.execution.kill()
        elif self.options.timeout is not None and now - running.moved > self.options.timeout * 60:
            running.hung = now
            running.execution.interrupt(signal.SIGTERM)

    def _stop(self, number: int) -> None:
        """Ask the running jobs to save a checkpoint and stop."""
        if self._running:
            self.display.stopping(number if self.stopped_by is not None else None, len(self._running))
        for running in self._running.values():
            running.execution.interrupt(number)

    def _end_at_once(self, number: int) -> None:
        """End the running jobs, which may save nothing more."""
        self.stopped_by = number
        for running in self._running.values():
            running.execution.interrupt(number)
        deadline = time.monotonic() + _AT_ONCE
        while time.monotonic() < deadline and any(r.execution.poll() is None for r in self._running.values()):
            time.sleep(_TICK)
        for running in self._running.values():
            if running.execution.poll() is None:
                running.execution.kill()
        self._collect()


def _record(directory: Path) -> dict[str, Any]:
    """Return a job's record; an empty one if it has none that can be read."""
    try:
        return read_record(directory)
    except (UserError, OSError):
        return {}


def _state(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is replaced; nothing if there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size
    return ()


def _data_key(job: Job) -> str:
    resolved: Mapping[str, Any] = job.config.provenance.resolved
    return json.dumps({key: resolved[key] for key in _DATA if key in resolved}, sort_keys=True, default=str)


def _why(code: int, directory: Path) -> str:
    """Return why a process ended that has recorded no reason: the signal that killed it, or its last words."""
    if code < 0:
        name = signal.Signals(-code).name if -code in [*signal.Signals] else f"signal {-code}"
        memory = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"killed by {name}{memory}"
    with suppress(OSError):
        with (directory / "train.log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 10_000))
            lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        if lines:
            return printable(lines[-1].strip().removeprefix("bisum: "))[:500]
    return f"its process ended with code {code}"
