"""Overfitting of one batch, which tests a model together with its labels and loss."""

from __future__ import annotations

import torch

from bisum.records.run import Run
from bisum.training.watcher import Watcher


class Overfit(Watcher):
    """Stops training once the loss of the batch is below a limit, and records how far the loss fell."""

    def __init__(self, run: Run, limit: float, rows: int, cut: int) -> None:
        """Watch the training of a run.

        Args:
            run: the run whose record gets the entry `overfit`.
            limit: the loss below which training stops, in nats per summary token.
            rows: rows in the batch.
            cut: rows whose summary is longer than the token limit.
        """
        self._run = run
        self._limit = limit
        self._batch = {"rows": rows, "cut": cut}

    def end_step(self, step: int, loss: torch.Tensor) -> str | None:
        """See `Watcher.end_step`."""
        value = float(loss)
        first = value if step == 1 else self._run.record["overfit"]["first_loss"]
        self._run.record["overfit"] = {**self._batch, "steps": step, "first_loss": first, "loss": value}
        if step == 1:  # a resumed run does not repeat this step
            self._run.update()
        return f"the loss is below {self._limit:g}" if value < self._limit else None
