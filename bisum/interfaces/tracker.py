"""The interface of an experiment tracker, and the facts it receives about a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from bisum.interfaces.text import Name

LOG = "tracker.log"
"""File for a tracker's output, in the run directory."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """The facts about a run that are known at its start."""

    directory: str
    """Absolute path of the run directory, where the tracker writes its own files."""
    id: str
    """Unique id of the run; for a resumed run, the id that the tracker reported."""
    name: str
    """Readable name, such as `mt5_small-lr5e-05-s1`; not unique."""
    system: str
    """Name without the seed, such as `mt5_small-lr5e-05`; shared by runs that differ only in their seed."""
    profile: str
    """ROUGE profile to display for the run: rouge or unicode."""
    group: str | None
    """Group of related runs, such as the jobs of a sweep."""
    tags: list[str]
    """Labels for finding the run."""
    job: str
    """The command: train, baseline, ..."""
    config: dict[str, Any]
    """The whole resolved configuration as nested plain data; `choices` contains the chosen option of each group."""
    commit: str | None
    """Commit of the code, followed by "+" if files have been changed."""
    process: int
    """Id of the training process."""
    resumed: bool
    """Whether the run was tracked before."""
    kept: int
    """Number of lines of `metrics.jsonl` that a resumed run keeps; they are logged again, from the first."""


class TrackedRun:
    """One run in a tracker. A method that is not overridden does nothing.

    The methods are called one at a time in a separate process, whose standard streams go to `tracker.log` in the run
    directory. If a method raises, hangs or ends that process, the run continues with a one-line warning.
    """

    report: Mapping[str, str] = {}
    """Recorded in `run.json`: the tracker's `id` for the run and its `url`. `warning` is shown at once; `view`, which
    explains how to view the run, is shown when it ends."""

    def log(
        self,
        number: int,
        metrics: Mapping[str, float],
        tables: Mapping[str, Sequence[Mapping[str, str]]],
        histograms: Mapping[str, Mapping[str, Sequence[float]]],
    ) -> None:
        """Log one line of `metrics.jsonl`, with its tables and histograms.

        Args:
            number: index of the line, from 0; increases by one.
            metrics: the `step`, the `epoch` and every finite value of the line. A line with `eval/` values also has the
                `baseline/` values, which makes the baseline a constant curve.
            tables: rows with the columns id, language, category, document, reference and prediction.
            histograms: `counts`, and the `edges` of the bins (one more than counts).
        """

    def image(self, name: str, path: str) -> None:
        """Log a PNG file."""

    def checkpoint(self, path: str, aliases: Sequence[str]) -> None:
        """Log a checkpoint's folder under its aliases, such as `epoch-3` and `best`."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Set values that describe the whole run.

        They are its `status`, the best evaluation (`best/eval/rougeL`, ...), and the differences from the baseline in
        the best evaluation (`best/difference/rougeL`, ...) and on the test split (`difference/rougeL`, ...).
        """

    def finish(self, status: str) -> None:
        """Finish the run with a status: finished, pruned, failed, interrupted, or crashed (training died silently)."""


@dataclass(frozen=True, kw_only=True)
class Tracker(ABC):
    """A service that records and compares runs, and its settings."""

    @abstractmethod
    def start(self, run: RunFacts) -> TrackedRun:
        """Start or continue tracking a run."""

    project: Name
    """Project to compare runs in."""
    mode: Literal["auto", "online", "offline", "disabled"]
    """auto: online if possible, otherwise offline; online: the same, but warns if offline; disabled: no tracking."""
    name: Name | None
    """Name of the run; null: the model and the changes on the command line."""
    group: Name | None
    """Group of related runs; null: the jobs of a sweep."""
    tags: list[Name]
    """Labels for finding the run."""
    table_rows: Annotated[int, Ge(0), Le(100_000)]
    """Number of rows of each split to upload predictions of, the same rows in every epoch and run; 0: none."""
    checkpoints: Literal["none", "best", "all"]
    """Which of the kept checkpoints to upload when the run finishes."""
    finish_seconds: Annotated[float, Gt(0), Le(604_800)]
    """Longest wait for uploads at the end of a run, in seconds; increase it for checkpoints of several gigabytes."""

    @property
    def wanted(self) -> bool:
        """Whether to track the run."""
        return self.mode != "disabled"
