"""The run directory: the whole record of a run, readable at any instant, also after a crash."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bisum import __version__
from bisum.config import Config
from bisum.errors import Failed, UserError
from bisum.records.interrupts import Interrupted, Interrupts, interrupts
from bisum.records.screen import Screen

_PACKAGES = (
    "bisum",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "tokenizers",
    "hydra-core",
    "rouge-score-rs",
)


class Run:
    """One run directory, open for writing by one process at a time."""

    def __init__(self, directory: Path, config: Config, interrupted: Interrupts) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.config = config
        self.interrupts = interrupted
        self._lock = (directory / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"'{directory}' is in use: its run is still going on in another process") from error
        earlier = _read(directory / "run.json")
        self.resumed = earlier is not None
        self.record: dict[str, Any] = {"started": _now(), **(earlier or {})}
        self.record["seconds"] = self.record.get("seconds") or {}
        self.screen = Screen(directory / "train.log")
        self._accepted = not self.resumed
        self.update(
            job=config.name,
            status="running",
            reason=None,
            exit_code=None,
            command=shlex.join(["bisum" if "bisum" in sys.argv[0] else sys.argv[0], *sys.argv[1:]]),
            config=config.resolved,
            versions={name: _version(name) for name in _PACKAGES} | {"python": sys.version.split()[0]},
            commit=_commit(),
        )

    def accept(self, step: int, evaluated_step: int) -> None:
        """Begin to write: a resumed run fits what is there, so that its record may change from `step` on.

        Logged lines that it will log again are dropped: those after `step`, an evaluation at `step` that its checkpoint
        does not know (it knows none after `evaluated_step`), and the test split's.
        """
        self._accepted = True
        self.update()
        if self.resumed:
            self._rewind(step, evaluated_step)

    def update(self, **values: Any) -> None:
        """Set entries of `run.json`; the file is replaced in one step."""
        self.record.update(values)
        if not self._accepted:
            return
        path = self.directory / "run.json"
        aside = path.with_suffix(".json.partial")
        aside.write_text(json.dumps(self.record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(aside, path)

    def log(self, metrics: Mapping[str, float], step: int, epoch: float) -> None:
        """Append one line to `metrics.jsonl`."""
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        with (self.directory / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "epoch": epoch, **values}) + "\n")

    @property
    def last_loss(self) -> float:
        """The last logged training loss; NaN before the first."""
        return float(next((line["train/loss"] for line in reversed(self.metrics()) if "train/loss" in line), math.nan))

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`; a last line that a crash cut off is left out."""
        return read_metrics(self.directory)

    def _rewind(self, step: int, evaluated_step: int) -> None:
        def stays(line: dict[str, Any]) -> bool:
            unknown = line["step"] > evaluated_step and "eval/loss" in line
            return line["step"] <= step and not unknown and "test/loss" not in line

        kept = [line for line in self.metrics() if stays(line)]
        path = self.directory / "metrics.jsonl"
        aside = path.with_suffix(".jsonl.partial")
        aside.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        os.replace(aside, path)

    def write_predictions(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write `predictions/<name>.jsonl`, a line for each scored row, in one step."""
        folder = self.directory / "predictions"
        folder.mkdir(exist_ok=True)
        aside = folder / f".{name}.partial"
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        os.replace(aside, folder / f"{name}.jsonl")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's seconds to the stage's in `run.json`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = self.record["seconds"]
            seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - began, 3)
            self.update()

    def end(self, status: str, exit_code: int, reason: str | None = None) -> None:
        """Record how the run ended."""
        self.update(status=status, reason=reason, exit_code=exit_code, finished=_now())

    def close(self) -> None:
        """Release the directory."""
        self.screen.close()
        self._lock.close()


@contextmanager
def recorded(directory: Path, config: Config) -> Iterator[Run]:
    """Open a run directory for the block and record how the block ends.

    Raises:
        UserError: the directory holds another run (and this is no resume), or the block raised one.
        Failed: the block raised anything else; the traceback is in `train.log`.
        SystemExit: a signal interrupted the block (130 for Ctrl-C, 143 for SIGTERM).
    """
    if config.resume is None and (directory / "run.json").exists():
        raise UserError(f"hydra.run.dir: '{directory}' already holds a run; continue it with resume={directory}")
    with interrupts() as state:
        run = Run(directory, config, state)
        try:
            yield run
            run.end("finished", 0)
        except UserError as error:
            run.screen.log(traceback.format_exc())
            run.end("failed", 2, str(error))
            raise
        except Interrupted as signal:
            run.end("interrupted", signal.exit_code, str(signal))
            hint = f"; continue with: bisum resume={directory}" if config.name == "train" else ""
            run.screen.note(f"interrupted ({signal}){hint}")
            raise SystemExit(signal.exit_code) from None
        except BaseException as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            with suppress(OSError):  # the disk may be what failed
                run.screen.log(traceback.format_exc())
                run.end("failed", 1, reason)
            raise Failed(f"{reason} (traceback: {directory / 'train.log'})") from error
        finally:
            run.close()


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's `metrics.jsonl`; a last line that a crash cut off is left out.

    Raises:
        UserError: another line is not what bisum wrote.
    """
    path = directory / "metrics.jsonl"
    lines: list[dict[str, Any]] = []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or "step" not in line:
            if number == len(texts):
                break
            raise UserError(f"{path}, line {number}: must be an object with a step; remove the line or put it right")
        lines.append(line)
    return lines


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    if package == "bisum":
        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the working directory's repository, "+" added if files differ from it."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        status = ["git", "status", "--porcelain", "--untracked-files=no"]
        dirty = subprocess.run(status, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if dirty else "")
