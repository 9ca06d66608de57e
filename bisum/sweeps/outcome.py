"""The outcome of a job, from its exit code and its run directory."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisum.errors import printable

_TAIL = 10_000
"""Bytes at the end of a log to search for its last line."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one try of a job."""

    status: str
    """finished, pruned, failed, interrupted, or waiting if the job recorded nothing."""
    reason: str | None = None
    """Reason of a failure."""
    is_recorded: bool = True
    """Whether its run directory has recorded the outcome."""
    is_final: bool = False
    """Whether the input is bad, so that a retry cannot help."""


def outcome_of(code: int, directory: Path, run: Mapping[str, Any], *, stopped: bool, idle: float | None) -> Outcome:
    """Return the outcome of a job.

    Args:
        code: the exit code, negative for the signal that killed the process.
        directory: the run directory.
        run: its record if this try of the job has written one, otherwise {}.
        stopped: whether the sweep has stopped the job.
        idle: minutes without progress, if it was stopped for that.
    """
    status, reason = run.get("status"), run.get("reason")
    if status == "finished":
        return Outcome("finished", None if code == 0 else f"its process exited with {_exit_text(code)} after the run")
    if status == "pruned":
        return Outcome("pruned", str(reason))
    if idle is not None:
        return Outcome("failed", f"stopped after {idle:g} minutes without progress (sweep.timeout)", is_recorded=False)
    if status == "failed":
        return Outcome("failed", str(reason), is_final=code == 2)
    if stopped and (status == "interrupted" or code < 0 or code > 128):
        return Outcome("interrupted" if run else "waiting")
    if status == "interrupted":
        return Outcome("failed", f"stopped by {reason}, which the sweep did not send", is_recorded=False)
    return Outcome("failed", _reason(code, directory), is_recorded=False, is_final=code == 2)


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"code {code}"
    return signal.Signals(-code).name if -code in [*signal.Signals] else f"signal {-code}"


def _reason(code: int, directory: Path) -> str:
    """Return the reason of an unrecorded failure: the signal that killed the process, or its last line of output."""
    if code < 0:
        memory = ", possibly because memory ran out" if -code == signal.SIGKILL else ""
        return f"killed by {_exit_text(code)}{memory}"
    last = ""
    with suppress(OSError):
        with (directory / "train.log").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _TAIL))
            lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        last = printable(lines[-1].strip())[:500] if lines else ""
    if last.startswith("bisum: "):
        return last.removeprefix("bisum: ")
    return f"its process exited with {_exit_text(code)}{f'; last line of its log: {last}' if last else ''}"
