"""Training progress, and the settings that must not change on resume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bisum.config.schema import Config
from bisum.errors import UserError


@dataclass
class Progress:
    """The part of a checkpoint besides the weights, optimizer and schedule.

    It needs no state of the random generators, which are seeded from (seed, step) before every step.
    """

    step: int = 0
    """Optimizer steps taken."""
    loss_sum: float = 0.0
    """Sum of the losses of the steps since the last logged one."""
    loss_steps: int = 0
    """Number of those steps."""
    epoch_loss_sum: float = 0.0
    """Sum of the losses logged since the last evaluation."""
    epoch_loss_steps: int = 0
    """Number of those steps."""
    evaluated_step: int = 0
    """Step of the last evaluation."""
    best: float | None = None
    """Best value of the metric that selects the checkpoint so far."""
    best_loss: float | None = None
    """`eval/loss` of the same evaluation, which decides between equal values."""
    best_checkpoint: str | None = None
    """Name of the checkpoint with that value."""
    evaluations_since_best: int = 0
    """Consecutive evaluations without improvement."""
    stopped: str | None = None
    """Reason for early stopping, if any."""


def fixed_settings(config: Config, steps_per_epoch: int) -> dict[str, Any]:
    """Return the settings that must not change on resume: the position and the optimizer state depend on them."""
    return {
        "trainer.optimizer": config.trainer.optimizer,
        "trainer.decay_all_parameters": config.trainer.decay_all_parameters,
        "corpus.language_temperature": config.corpus.language_temperature,
        "steps an epoch (trainer.batch_size, trainer.gradient_accumulation)": steps_per_epoch,
    }


def refuse_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UserError if one of a checkpoint's `fixed_settings` has changed."""
    for key, value in now.items():
        if before[key] != value:
            raise UserError(f"resume: {key} was {before[key]} and cannot become {value}; start a new run")
