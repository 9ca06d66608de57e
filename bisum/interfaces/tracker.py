"""A tracker: what it learns about a run, and the interface it offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

LOG = "tracker.log"
"""File in the run directory that takes what a tracker prints."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run when it starts."""

    directory: str
    """The run directory, absolute; the tracker's own files belong here."""
    id: str
    """Identifies the run among all others; the one that the tracker reported, if the run is resumed."""
    name: str
    """What people read, such as `mt5_small-lr5e-05-s1`; not unique."""
    group: str | None
    """Runs that belong together, such as the jobs of a sweep."""
    tags: list[str]
    """Words to find the run by."""
    job: str
    """The command: train, baseline, ..."""
    config: dict[str, Any]
    """The whole resolved configuration, nested plain data, and under `choices` the option of each group."""
    commit: str | None
    """Commit of the code, "+" added if files differ from it."""
    process: int
    """Id of the process that trains."""
    resumed: bool
    """Whether the run was tracked before."""
    kept: int
    """Lines of `metrics.jsonl` that a resumed run keeps; they are logged again, from the first."""


class TrackedRun:
    """A run as a tracker keeps it; a method that is not overridden does nothing.

    The methods are called one at a time in a process of its own, whose standard streams go to `tracker.log` in the run
    directory. One that raises, hangs or ends that process costs the run one line of warning, nothing else.
    """

    report: Mapping[str, str] = {}
    """Kept in `run.json`: the tracker's `id` for the run, its `url`; `warning` is shown at once, `view`, how the run
    can be looked at, when it ends."""

    def log(
        self,
        number: int,
        metrics: Mapping[str, float],
        tables: Mapping[str, Sequence[Mapping[str, str]]],
        histograms: Mapping[str, Mapping[str, Sequence[float]]],
    ) -> None:
        """Take one line of `metrics.jsonl`, of which `number` (from 0) were before it, and what belongs to it.

        Args:
            number: place of the line; grows by one.
            metrics: the line: its `step`, its `epoch` and every finite value. A line with `eval/` has the `baseline/`
                values besides, which makes the baseline a constant curve.
            tables: rows with the columns id, language, document, reference and prediction.
            histograms: `counts`, and the `edges` of their bins, one more.
        """

    def image(self, name: str, path: str) -> None:
        """Take a PNG file."""

    def checkpoint(self, path: str, aliases: Sequence[str]) -> None:
        """Take a checkpoint's folder, and its names: `epoch-3`, `best`."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Set values that describe the whole run: `best/eval/rougeL`, `status`."""

    def finish(self, status: str) -> None:
        """Write everything down: finished, failed, interrupted, or crashed if the training is gone without a word."""


@dataclass(frozen=True, kw_only=True)
class Tracker(ABC):
    """A place where runs are watched and compared, and its settings."""

    @abstractmethod
    def start(self, run: RunFacts) -> TrackedRun:
        """Begin, or continue, to track a run."""

    project: str
    """Runs are compared within it."""
    mode: Literal["auto", "online", "offline", "disabled"]
    """auto: online if that works, otherwise offline; online: the same, with a warning; disabled: no tracking."""
    name: str | None
    """Name of the run; null: the model and what the command line changes."""
    group: str | None
    """Runs that belong together; null: the jobs of a sweep."""
    tags: list[str]
    """Words to find the run by."""
    table_rows: Annotated[int, Ge(0)]
    """Rows of each split whose predictions are sent, the same in every epoch and run; 0: none."""
    checkpoints: Literal["none", "best", "all"]
    """Which of the kept checkpoints are sent when the run has finished."""
    finish_seconds: Annotated[float, Gt(0)]
    """Longest wait at the end of a run for what is not sent yet; checkpoints of gigabytes need more."""

    @property
    def wanted(self) -> bool:
        """Whether anything is to be tracked."""
        return self.mode != "disabled"
