"""Training progress, its reader, and the settings that must not change on resume."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bisum.config.schema import Config
from bisum.errors import UserError, printable
from bisum.interfaces.metric import SPEED_SETTINGS
from bisum.interfaces.score import split_score_name
from bisum.interfaces.trainer import Trainer
from bisum.runs.checkpoints import STATE, epoch_name
from bisum.runs.entries import CHECKPOINT, NUMBER, OBJECT, SCORE, TEXT, WHOLE, Entries, or_null, read_object


@dataclass
class Progress:
    """The part of a checkpoint beyond weights, optimizer and schedule.

    It contains no random state: the generators are seeded from (seed, step) before every step.
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

    def mean_loss(self, unlogged: float) -> float:
        """Return the mean loss of the steps since the last evaluation; `unlogged` is the sum since the last log."""
        return (self.epoch_loss_sum + unlogged) / (self.epoch_loss_steps + self.loss_steps)

    def count_evaluation(self, checkpoint: str, value: float, loss: float, higher_is_better: bool) -> bool:
        """Count an evaluation of `checkpoint`, and return whether it is the best; the lower loss breaks ties."""
        best, best_loss, sign = self.best, self.best_loss, -1 if higher_is_better else 1
        if best is None or best_loss is None or not math.isfinite(best):
            best, best_loss = sign * math.inf, math.inf
        is_best = math.isfinite(value) and (sign * value, loss) < (sign * best, best_loss)
        if is_best:
            self.best, self.best_loss, self.best_checkpoint = value, loss, checkpoint
        self.evaluations_since_best = 0 if is_best else self.evaluations_since_best + 1
        return is_best


_STATE: Entries = {
    "progress": OBJECT,
    "progress.step": WHOLE,
    "progress.loss_sum": NUMBER,
    "progress.loss_steps": WHOLE,
    "progress.epoch_loss_sum": NUMBER,
    "progress.epoch_loss_steps": WHOLE,
    "progress.evaluated_step": WHOLE,
    "progress.best": SCORE,
    "progress.best_loss": SCORE,
    "progress.best_checkpoint": or_null(CHECKPOINT),
    "progress.evaluations_since_best": WHOLE,
    "progress.stopped": or_null(TEXT),
    "schedule_step": WHOLE,
    "fixed": OBJECT,
    "optimizer": OBJECT,
    "optimizer.*": NUMBER,
    "scaler?": or_null(OBJECT),
    "scaler.*": NUMBER,
    "metrics?": OBJECT,
    "metrics.lines": WHOLE,
    "metrics.bytes": WHOLE,
    "metrics.sha256": TEXT,
}


def read_state(checkpoint: Path, fixed: dict[str, Any], steps_per_epoch: int) -> tuple[Progress, dict[str, Any]]:
    """Return the progress in a checkpoint's `state.json`, and the whole file.

    Raises:
        UserError: an entry is invalid, or one of the `fixed` settings differs.
    """
    path = checkpoint / STATE
    state = read_object(path, _STATE)
    stored = state["progress"]
    if unknown := sorted(stored.keys() - {field.name for field in fields(Progress)}):
        raise UserError(f"'{path}': progress.{printable(unknown[0])} is unknown")
    for key, value in fixed.items():
        if key not in state["fixed"]:
            raise UserError(f"'{path}': '{key}' is missing from fixed")
        if (before := state["fixed"][key]) != value:
            old, new = (one if isinstance(one, str) else json.dumps(one) for one in (before, value))
            raise UserError(f"resume: {key} cannot change from {old} to {new}; start a new run")
    progress = Progress(**stored)
    if epoch_name(epoch_at(progress.step, steps_per_epoch)) != checkpoint.name:
        raise UserError(f"'{path}': progress.step must be the step of {checkpoint.name}, not {progress.step}")
    steps = {f"progress.{name}": stored[name] for name in ("loss_steps", "epoch_loss_steps", "evaluated_step")}
    for key, count in {**steps, "schedule_step": state["schedule_step"]}.items():
        if count > progress.step:
            raise UserError(f"'{path}': {key} must be at most progress.step, {progress.step}")
    return progress, state


def count_saves(settings: Trainer, step: int, total_steps: int, steps_per_epoch: int) -> int:
    """Return how many checkpoints will be saved after `step`: at evaluations, and every `save_every` steps."""
    evaluate_every, save_every = settings.evaluate_every or steps_per_epoch, settings.save_every or total_steps
    both = math.lcm(evaluate_every, save_every)

    def up_to(last: int) -> int:
        return last // evaluate_every + last // save_every - last // both

    ends_between = step < total_steps and total_steps % evaluate_every != 0 and total_steps % save_every != 0
    return up_to(total_steps) - up_to(step) + ends_between


def count_evaluations(settings: Trainer, step: int, total_steps: int, steps_per_epoch: int) -> int:
    """Return how many evaluations follow `step`."""
    every = settings.evaluate_every or steps_per_epoch
    return total_steps // every - step // every + (step < total_steps and total_steps % every != 0)


def epoch_at(step: int, steps_per_epoch: int) -> float:
    """Return the epochs trained at a step, with enough decimals to distinguish any two steps."""
    return round(step / steps_per_epoch, len(str(steps_per_epoch)) + 4)


def fixed_settings(config: Config, steps_per_epoch: int, best_metric: str) -> dict[str, Any]:
    """Return the settings that must not change on resume; the position, optimizer or best value depends on them."""
    return {
        "trainer.best_metric": _with_settings(best_metric, config),
        "trainer.optimizer": config.trainer.optimizer,
        "trainer.average": config.trainer.average,
        "trainer.decay_all_parameters": config.trainer.decay_all_parameters,
        "trainer.tokens_per_batch": config.trainer.tokens_per_batch,
        "corpus.language_temperature": config.corpus.language_temperature,
        "steps per epoch (trainer.batch_size, trainer.gradient_accumulation)": steps_per_epoch,
    }


def _with_settings(best_metric: str, config: Config) -> str:
    """Return a metric with the settings that its values depend on, if any."""
    key = config.metric_of(split_score_name(best_metric)[0])
    if key is None:
        return best_metric
    recorded = config.provenance.recorded.config["metric"][key]
    settings = {name: value for name, value in recorded.items() if name not in SPEED_SETTINGS}
    return f"{best_metric} of {json.dumps(settings, sort_keys=True)}"
