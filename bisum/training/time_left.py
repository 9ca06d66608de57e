"""An estimate of the time until a run ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, median

from bisum.display.screen import Screen
from bisum.interfaces.trainer import Trainer
from bisum.training.progress import count_evaluations, count_saves

_FIRST_STEPS, _FIRST_COMPILED_STEPS = 3, 10
"""Number of timed steps before the first estimate, without and with `trainer.compile`. A run's first step is slower
and is not timed."""
_FIRST_SECONDS = 2.0
"""Seconds before the first estimate."""
_RECENT = 200
"""Number of recent steps that determine the time of a step."""


@dataclass
class TimeLeft:
    """The time that the remaining steps, evaluations, checkpoints and the test take, at the speed of those done.

    A row of the first evaluation is assumed to take as long as a row of training, until the evaluation is done. The
    first extra checkpoint is assumed to take no time.
    """

    settings: Trainer
    steps_per_epoch: int
    total_steps: int
    rows_per_step: float
    """Mean number of rows of a training step."""
    evaluated_rows: int
    """Rows of an evaluation."""
    tested_rows: int
    """Rows of the test."""
    clock: Callable[[], float] = time.perf_counter
    _step_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT), init=False)
    _is_first: bool = field(default=True, init=False)
    _evaluations: list[float] = field(default_factory=list, init=False)
    _saves: list[float] = field(default_factory=list, init=False)
    _began: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)
    _is_shown: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Start the clock before the first step."""
        self._began = self._last = self.clock()

    def end_step(self, step: int, screen: Screen) -> float | None:
        """Count a step, and the time since the previous one; return the seconds left, and show them once."""
        now = self.clock()
        if not self._is_first:
            self._step_seconds.append(now - self._last)
        self._is_first, self._last = False, now
        left = self.seconds(step)
        if left is not None and not self._is_shown:
            self._is_shown = True
            less = "" if self.settings.patience is None else "; less if it stops early"
            screen.print(f"about {duration(left)} left, evaluations and the test included{less}")
        return left

    def end_evaluation(self) -> None:
        """Count an evaluation with its checkpoint, which followed a step."""
        self._evaluations.append(self._since_last())

    def end_save(self) -> None:
        """Count an extra checkpoint, which followed a step."""
        self._saves.append(self._since_last())

    def _since_last(self) -> float:
        now = self.clock()
        seconds, self._last = now - self._last, now
        return seconds

    def seconds(self, step: int) -> float | None:
        """Return the seconds that the run takes after a step; None: too early."""
        first = _FIRST_COMPILED_STEPS if self.settings.compile else _FIRST_STEPS
        if len(self._step_seconds) < first or self._last - self._began < _FIRST_SECONDS:
            return None
        one = (median if self.settings.compile else fmean)(self._step_seconds)  # some steps compile the model
        guess = one / self.rows_per_step * self.evaluated_rows
        evaluation = fmean(self._evaluations) if self._evaluations else guess
        save = fmean(self._saves) if self._saves else 0.0
        test = evaluation * self.tested_rows / self.evaluated_rows
        position = step - 1, self.total_steps, self.steps_per_epoch
        evaluations = count_evaluations(self.settings, *position)
        saves = count_saves(self.settings, *position) - evaluations
        return (self.total_steps - step) * one + evaluations * evaluation + saves * save + test


def duration(seconds: float) -> str:
    """Return a rounded duration as text, such as 40 seconds, 12 minutes or 2.5 hours."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:,.1f} hours"
