"""Display of a working sweep: a table of the running jobs on a terminal, lines elsewhere."""

from __future__ import annotations

import re
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from bisum.display.console import Console
from bisum.display.evaluation_tables import prefix_of
from bisum.display.tables import new_table
from bisum.display.terminal import clock
from bisum.errors import complain, printable
from bisum.interfaces.score import ROUGE_PROFILES, score_name
from bisum.printing import clean_standard_streams
from bisum.runs.checkpoints import checkpoints_in
from bisum.runs.progress import read_progress
from bisum.runs.record import readable_record
from bisum.runs.sweep import OVER, STATUSES
from bisum.sweeps.outcome import Outcome
from bisum.sweeps.record import SweepRecord
from bisum.sweeps.work import Work

_TABLE_INTERVAL = 0.5
"""Seconds between updates of the table."""
_LINE_INTERVAL = 60.0
"""Seconds between lines about the whole sweep, without a terminal."""
_IDLE_THRESHOLD = 300.0
"""Seconds without progress that a job's state reports."""
_MAX_ROWS = 20
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (> (?:warning: )?)?(.*)")
"""A line of `train.log`: time, mark of a note or warning, if any, and text."""


class Started(Protocol):
    """A job started by this process."""

    work: Work
    began: float


class HasTotal(Protocol):
    """A search as seen by the display."""

    @property
    def total(self) -> int:
        """Total number of jobs."""


class JobLog:
    """New lines in a job's `train.log`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0

    def new_lines(self) -> Iterator[str]:
        """Yield the complete lines since the last call."""
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._position)
            whole, end, _ = file.read().rpartition(b"\n")
            self._position += len(whole) + len(end)
            yield from whole.decode("utf-8", "replace").splitlines()


class SweepDisplay:
    """The display of one sweep, a context manager around its work."""

    def __init__(
        self, label: Callable[[int], str], log: str, trials: HasTotal | None = None, *, detached: bool
    ) -> None:
        """Create the display.

        Args:
            label: returns a short label that distinguishes a job from the others.
            log: the configured `log`: all log lines of the jobs, notes and warnings, or only failures and warnings.
            trials: the trials, which add jobs, if the sweep is a search.
            detached: whether the jobs run in their own processes, so that only this display uses the terminal.
        """
        self._label = label
        self._trials = trials
        self._log = log
        self._console = Console()
        self._detached = detached
        shows_table = detached and log != "quiet" and self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if shows_table else None
        self._began = self._shown = time.monotonic()
        self._logs: dict[int, JobLog] = {}
        self._reported: set[str] = set()
        self._start_times: dict[int, float] = {}
        self._durations: list[float] = []

    def __enter__(self) -> SweepDisplay:
        if self._live is not None:
            self._live.start()
            clean_standard_streams()  # Live has replaced them
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, work: Work) -> None:
        """Announce the start of a job."""
        self._start_times[work.number] = time.monotonic()
        continues = work.resumes and checkpoints_in(work.directory / "checkpoints")
        text = f"job {work.number}{' continues' if continues else ''}: {self._label(work.number)}"
        if self._detached:
            self._logs[work.number] = JobLog(work.directory / "train.log")
            self._print(text)
        elif self._log != "quiet":
            self._console.rule(text)

    def end(self, number: int, outcome: Outcome, run: Mapping[str, Any], *, again: bool) -> None:
        """Report the end of a job."""
        self._relay(number)
        seconds = time.monotonic() - self._start_times.pop(number, time.monotonic())
        if outcome.status in OVER:
            self._durations.append(seconds)
        if outcome.status == "finished":
            self._print(f"job {number} finished in {clock(seconds)}{best_score(run, ': ')}")
            if outcome.reason:
                complain(f"job {number}: {outcome.reason}")
        elif outcome.status == "failed":
            self._print(f"job {number} failed: {printable(str(outcome.reason))}{'; retrying' if again else ''}")
        elif outcome.status == "pruned":
            self._print(f"job {number} pruned after {clock(seconds)}: {printable(str(outcome.reason))}")
        else:
            self._print(f"job {number} stopped; it can be resumed")

    def stopping(self, number: int | None, jobs: int) -> None:
        """Report that the running jobs are stopping because of a signal; None: because a job failed."""
        why = "sweep.fail_fast" if number is None else signal.Signals(number).name
        jobs_text = "the running job" if jobs == 1 else f"{jobs} running jobs"
        hint = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else ""
        self._print(f"> {why}: stopping {jobs_text} (training jobs save a checkpoint){hint}")

    def show(self, record: SweepRecord, started: Mapping[int, Started]) -> None:
        """Show the state of the sweep, if an update is due."""
        now = time.monotonic()
        if not self._detached or now - self._shown < _TABLE_INTERVAL:
            return
        for number in started:
            self._relay(number)
        if self._live is not None:
            self._shown = now
            self._live.update(self._table(record, started), refresh=True)
        elif now - self._shown >= _LINE_INTERVAL:
            self._shown = now
            running = [
                f"job {number} {_state(record.path(number))}{_owner(entry) if number not in started else ''}"
                for number, entry in enumerate(record.jobs)
                if entry["status"] == "running"
            ]
            self._print("; ".join([self._summary(record, started), *running[:_MAX_ROWS]]))

    def _table(self, record: SweepRecord, started: Mapping[int, Started]) -> Group:
        """Return a table of the running jobs, with a line about the whole sweep."""
        table = new_table("job")
        for column in ("settings", "stage", "score", "time"):
            table.add_column(column)
        running = [(number, entry) for number, entry in enumerate(record.jobs) if entry["status"] == "running"]
        for number, entry in running[:_MAX_ROWS]:
            directory = record.path(number)
            if number in started:
                owner, took = "", clock(time.monotonic() - started[number].began)
            else:
                owner, took = _owner(entry), ""
            score = best_score(readable_record(directory), "")
            table.add_row(str(number), self._label(number), _state(directory) + owner, score, took)
        return Group(*([table] if running else []), Text(self._summary(record, started)))

    def _summary(self, record: SweepRecord, started: Mapping[int, Started]) -> str:
        counts = Counter(entry["status"] for entry in record.jobs)
        counted = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
        total = len(record.jobs) if self._trials is None else self._trials.total
        left = self._left(counts["waiting"] + counts["interrupted"] + total - len(record.jobs), started)
        about = "" if left is None else f", about {clock(left)} left"
        what = f"{'job' if self._trials is None else 'trial'}{'s' * (total != 1)}"
        return f"{total} {what}: {counted}; {clock(time.monotonic() - self._began)} so far{about}"

    def _left(self, waiting: int, started: Mapping[int, Started]) -> float | None:
        """Return the estimated seconds left, from the median duration of the jobs finished by this process."""
        if not self._durations or not started:
            return None
        each = statistics.median(self._durations)
        begun = [max(0.0, each - (time.monotonic() - job.began)) for job in started.values()]
        return max(max(begun), (waiting * each + sum(begun)) / len(begun))

    def _relay(self, number: int) -> None:
        """Show a job's new log lines: all with `log=debug`, otherwise its notes and warnings, each once."""
        for line in self._logs[number].new_lines() if number in self._logs else ():
            found = _LOG_LINE.fullmatch(line)
            mark, text = (found[1] or "", found[2]) if found else ("", line)
            if self._log == "debug":
                self._print(f"job {number}: {mark}{text}")
            # The end of the sweep reports where its jobs are tracked.
            elif mark and text not in self._reported and not text.startswith("tracked "):
                if self._log == "quiet" and mark == "> ":
                    continue
                self._reported.add(text)
                self._console.print(f"> job {number}: {mark[2:]}{text}", soft_wrap=True)

    def _print(self, text: str) -> None:
        if self._log != "quiet":
            self._console.print(text, soft_wrap=True)


def _owner(entry: Mapping[str, Any]) -> str:
    """Return the process that runs a job."""
    process = entry["process"] or {}
    return f" (run by process {process.get('pid')} on {process.get('host')})"


def _state(directory: Path) -> str:
    """Return the stage of a job, and the time without progress if it is long."""
    found = read_progress(directory)
    if found is None:
        return "starting"
    progress, idle = found
    return f"{progress.line}{f', no progress for {clock(idle)}' if idle > _IDLE_THRESHOLD else ''}"


def best_score(run: Mapping[str, Any], prefix: str) -> str:
    """Return a training run's best value of `trainer.best_metric`, or an evaluation's ROUGE-L; "" if there is none.

    The result begins with `prefix`.
    """
    name, value = run.get("best_metric"), None
    if evaluation := run.get("evaluation"):
        name = score_name(prefix_of(evaluation["split"]), "rougeL", profile=run.get("profile", ROUGE_PROFILES[0]))
        value = evaluation.get(name)
    elif name is not None:
        value = (run.get("best") or {}).get(name)
    return f"{prefix}{name} {value:.2f}" if isinstance(value, int | float) else ""
