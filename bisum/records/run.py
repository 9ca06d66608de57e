"""The open run, whose directory stays readable at any time, even after a crash."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bisum.config.identity import identity
from bisum.config.schema import Config
from bisum.display.screen import Screen
from bisum.display.terminal import Bar, relative_path
from bisum.errors import Failed, UserError, is_out_of_memory, reason
from bisum.evaluation.evaluator import Evaluation
from bisum.hardware.memory import peak_memory, reset_peak_memory
from bisum.printing import as_json, finite
from bisum.records.environment import commit, versions
from bisum.runs.checkpoints import UPLOADS, checkpoints_in
from bisum.runs.files import replace_file
from bisum.runs.lock import lock
from bisum.runs.metrics import read_metrics, rewind_metrics
from bisum.runs.record import read_record
from bisum.runs.safe_paths import refuse_links
from bisum.runs.signals import Interrupted, Interrupts, interrupts
from bisum.trackers.client import Histograms, Tracking

_STAGE_TITLES = {
    "metrics": "loading the metrics",
    "corpus": "reading the corpus",
    "model": "loading the model",
    "vocabulary": "trimming the vocabulary",
    "tokenization": "tokenizing",
    "baseline": "scoring the baseline",
    "evaluation": "evaluating",
    "checkpoints": "saving a checkpoint",
    "merging": "merging the adapter",
    "test": "scoring the test split",
}
"""Titles of running stages on the screen; other stages are shown by name."""

_CONTENTS = (
    "metrics.jsonl",
    "train.log",
    "predictions",
    "checkpoints",
    "merged",
    "plots",
    "profile",
    "exploration.json",
)
"""Files and folders that a run writes in its directory."""


class Run:
    """One run directory, open for writing by one process at a time."""

    def __init__(self, directory: Path, config: Config, interrupts: Interrupts) -> None:
        reset_peak_memory()
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.config = config
        self.interrupts = interrupts
        provenance = config.provenance
        self._lock = lock(directory, f"'{directory}' is in use; another process is still working on its run")
        earlier = read_record(directory) if (directory / "run.json").exists() else None
        self.resumed = earlier is not None
        self.metrics()  # reports edited lines before anything is written
        self.done = (
            earlier is not None
            and earlier.get("status") == "finished"
            and identity(earlier["config"]) == identity(provenance.recorded.config)
        )
        """Whether the run has already finished with the same configuration."""
        self.record: dict[str, Any] = {"started": _now(), **(earlier or {})}
        self.record["seconds"] = self.record.get("seconds") or {}
        self.mask = partial(provenance.recorded.mask, directory=directory)
        """Function that masks the configuration's secrets in a text."""
        in_sweep = provenance.sweep is not None
        log = directory / "train.log"
        self.screen = Screen(log, config.log, job=in_sweep, mask=self.mask, detached=provenance.detached)
        self.pruned: str | None = None
        """Reason why a search has ended the run early, if it has."""
        self._accepted = not self.resumed
        self._is_tracked = False
        self._tracking: Tracking | None = None
        command = self.mask(shlex.join(["bisum" if "bisum" in sys.argv[0] else sys.argv[0], *sys.argv[1:]]))
        earlier_commands = self.record.get("commands") or []
        self.update(
            job=provenance.command,
            status="running",
            reason=None,
            exit_code=None,
            command=command,
            commands=earlier_commands if self.done else [*earlier_commands, command],
            config=dict(provenance.recorded.config),
            from_environment=provenance.recorded.from_environment,
            masked=provenance.recorded.masked,
            choices={**self.record.get("choices", {}), **provenance.choices},
            versions=versions(),
            commit=commit(),
        )

    def begin_training(self, step: int, evaluated_step: int) -> None:
        """Allow the record to change from `step` on, once a resumed run has been verified.

        From here on, a signal waits for the end of the step.
        """
        self._accepted = True
        self.update()
        if self.resumed:
            rewind_metrics(self.directory, step, evaluated_step)
        self.interrupts.deferred = True

    def update(self, **values: Any) -> None:
        """Set entries of `run.json`, replacing the file atomically."""
        self.record.update(values)
        if "best" in values and self._tracking:
            self._tracking.summarize()
        if not self._accepted:
            return
        replace_file(self.directory / "run.json", [as_json(finite(self.record), indent=1)])

    def log(self, metrics: Mapping[str, float], step: int, epoch: float, histograms: Histograms | None = None) -> None:
        """Append a line to `metrics.jsonl`; `histograms`, by name, go only to the tracker."""
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        line = {"step": step, "epoch": epoch, **values}
        for name, value in values.items():
            if value is None and not name.startswith("train/"):
                self.screen.warn(f"step {step}: {name} is {metrics[name]}, recorded as null")
        tracking = self._track()  # first, since a new tracker receives the lines already in the file
        with (self.directory / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if tracking:
            tracking.log(line, histograms or {})

    @property
    def checkpoints(self) -> Path:
        """The folder of the run's checkpoints."""
        return self.directory / "checkpoints"

    @property
    def shown(self) -> Path:
        """The run directory, relative to the current folder if it is inside."""
        return relative_path(self.directory)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`, without a last line truncated by a crash."""
        return read_metrics(self.directory)

    def _track(self) -> Tracking | None:
        """Return the run's tracking, started on the first call; a resumed run sends the lines that it keeps.

        The first results trigger the first call, so a run that fails earlier on bad input is not tracked.
        """
        if self.config.tracker.wanted and not self._is_tracked:
            self._is_tracked = True
            try:
                self._tracking = Tracking(
                    self.config.tracker, self.config.provenance, self.directory, self.record, self.screen
                )
            except Exception as error:  # the process cannot start, or a file is malformed
                self.screen.warn(f"tracker: cannot start: {reason(error)}")
            self.update()
        return self._tracking

    def write_evaluation(self, name: str, evaluation: Evaluation) -> None:
        """Write all scored rows atomically: texts to `predictions/<name>.jsonl`, values to `<name>.scores.parquet`.

        The tracker receives a sample of the rows with the next logged metrics.
        """
        folder = self.directory / "predictions"
        replace_file(folder / f"{name}.jsonl", (json.dumps(row, ensure_ascii=False) for row in evaluation.predictions))
        buffer = BytesIO()
        pq.write_table(evaluation.scores.table(evaluation.fingerprint), buffer)
        replace_file(folder / f"{name}.scores.parquet", buffer.getvalue())
        seconds = self.record["seconds"]
        for metric, took in evaluation.seconds.items():
            seconds[f"metric.{metric}"] = round(seconds.get(f"metric.{metric}", 0.0) + took, 3)
        self.update(scores=evaluation.described)
        if tracking := self._track():
            tracking.predictions(name, evaluation.predictions)

    def track_image(self, name: str, png: Path) -> None:
        """Send a plot to the tracker."""
        if tracking := self._track():
            tracking.image(name, png)

    @contextmanager
    def stage(self, name: str, total: int | None = None, done: int = 0) -> Iterator[Bar]:
        """Show the block's progress, of `total` steps if known, and add its duration to the stage's in `run.json`."""
        began = time.perf_counter()
        try:
            with self.screen.progress(_STAGE_TITLES.get(name, name), total, done) as bar:
                yield bar
        finally:
            seconds = self.record["seconds"]
            seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - began, 3)
            self.update()

    def prune(self, reason: str) -> dict[str, float]:
        """Record that a search ends the run early, and return the metrics of its best validation."""
        self.pruned = reason
        self.screen.note(f"pruned: {reason}")
        return {name: value for name, value in (self.record.get("best") or {}).items() if name.startswith("eval/")}

    def end(self, status: str, exit_code: int, reason: str | None = None) -> None:
        """Record how the run ended."""
        self.update(status=status, reason=reason, exit_code=exit_code, finished=_now(), peak_memory=peak_memory())
        if self._tracking:
            self._tracking.end()

    def close(self) -> None:
        """Wait for the tracker to finish, and release the directory."""
        self.interrupts.deferred = False
        if self._tracking:
            self._tracking.close()
            self.update()
        self.screen.close()
        self._lock.close()


def claim(directory: Path, key: str = "hydra.run.dir") -> None:
    """Create the directory of a run or a sweep; `key` is its setting, for messages.

    Raises:
        UserError: the directory cannot be created, or already contains a run or its files.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        used = (directory / "run.json").exists() or any(directory.glob("*/run.json"))
    except OSError as error:
        raise UserError(f"{key}: '{directory}' cannot be created: {error.strerror}") from error
    refuse_links(directory, key)
    if used:
        raise UserError(
            f"{key}: '{directory}' already contains a run; choose another directory, or continue the run with resume="
        )
    if existing := next((name for name in _CONTENTS if (directory / name).exists()), None):
        raise UserError(f"{key}: '{directory}' already contains {existing}, which would be overwritten; choose another")


def clear(directory: Path) -> None:
    """Remove the files of an earlier try of a run, except its log."""
    for name in ("run.json", *_CONTENTS, UPLOADS):
        if name != "train.log":
            if (path := directory / name).is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def record_failure(directory: Path, earlier: Mapping[str, Any], reason: str, exit_code: int) -> None:
    """Record the failure of a process that could not record it itself; `earlier` is what is known about its run."""
    record = {"started": _now(), **earlier, "status": "failed", "reason": reason, "exit_code": exit_code}
    with suppress(OSError), (directory / "train.log").open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"bisum: {reason}\n")
    replace_file(directory / "run.json", [as_json(finite({**record, "finished": _now()}), indent=1)])


_SMALLER = "; lower trainer.batch_size, evaluation.batch_size or model.max_document_tokens"
"""What to do after a failed allocation."""


@contextmanager
def recorded(directory: Path, config: Config) -> Iterator[Run]:
    """Open a run directory for the block, and record the outcome of the block.

    Raises:
        UserError: the directory contains another run and `config.resume` is None, or the block raised a UserError.
        Failed: the block raised another exception; the traceback is in `train.log`.
        SystemExit: a signal interrupted the block (130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP).
    """
    if config.resume is not None:
        refuse_links(directory, "resume")
    elif not config.provenance.prepared:
        claim(directory)
    with interrupts() as state:
        run = Run(directory, config, state)
        try:
            yield run
            run.end("finished" if run.pruned is None else "pruned", 0, run.pruned)
        except UserError as error:
            run.screen.log(traceback.format_exc())
            run.end("failed", 2, run.mask(str(error)))
            raise UserError(run.mask(str(error))) from error
        except Interrupted as signal:
            run.end("interrupted", signal.exit_code, str(signal))
            saved = bool(checkpoints_in(run.checkpoints))
            how = "continue with" if saved else "no checkpoint yet; start again with"
            # A job in its own process leaves the hint to its sweep.
            resumable = config.provenance.command == "train" and not config.provenance.detached
            hint = f"; {how}: bisum resume={run.shown}" if resumable else ""
            run.screen.lines(f"> interrupted ({signal}){hint}", kind="warning")
            raise SystemExit(signal.exit_code) from None
        except BaseException as error:
            why = run.mask(reason(error)) + (_SMALLER if is_out_of_memory(error) else "")
            with suppress(OSError):  # the disk itself can have failed
                run.screen.log(traceback.format_exc())
                run.end("failed", 1, why)
            raise Failed(f"{why} (traceback: {directory / 'train.log'})") from error
        finally:
            run.close()


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
