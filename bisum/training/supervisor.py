"""What happens between the steps, the same for every backend: log, evaluate, keep the best, checkpoint, stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bisum.config import Config
from bisum.errors import UserError
from bisum.hardware.xla import seed, sync
from bisum.models.loading import LoadedModel
from bisum.records.checkpoint_files import epoch_name
from bisum.records.interrupts import Interrupted, Interrupts
from bisum.records.run import Run
from bisum.records.screen import Bar
from bisum.training.checkpoints import CheckpointStore, write_training_state
from bisum.training.trainer import Trainer


def fixed_settings(config: Config, steps_per_epoch: int) -> dict[str, Any]:
    """Return what may not change when a run is continued: its position and its optimizer's memory depend on it."""
    return {
        "trainer.optimizer": config.trainer.optimizer,
        "trainer.decay_all_parameters": config.trainer.decay_all_parameters,
        "corpus.language_temperature": config.corpus.language_temperature,
        "steps an epoch (trainer.batch_size, trainer.gradient_accumulation)": steps_per_epoch,
    }


@dataclass
class Progress:
    """Where a training stands: all that a checkpoint must hold besides weights, optimizer and schedule.

    The state of the random generators is not among it: it is set from (seed, step) before every step.
    """

    step: int = 0
    """Optimizer steps taken."""
    loss_sum: float = 0.0
    """Sum of the losses of the steps since the last logged one."""
    loss_steps: int = 0
    """Number of those steps."""
    evaluated_step: int = 0
    """Step of the last evaluation."""
    best: float | None = None
    """Best value of `best_metric` so far."""
    best_checkpoint: str | None = None
    """Name of the checkpoint that reached it."""
    evaluations_since_best: int = 0
    """Evaluations in a row that were not better."""
    stopped: str | None = None
    """Why training ended before its last step."""


@dataclass
class Supervisor:
    """Runs alongside a backend, which calls `begin_step` and `end_step` around every optimizer step."""

    settings: Trainer
    seed: int
    loaded: LoadedModel
    optimizer: Optimizer
    schedule: LRScheduler
    run: Run
    checkpoints: CheckpointStore
    evaluate: Callable[[int, float], Mapping[str, float]]
    """Scores the validation split at (step, epoch), records it and returns the metrics."""
    steps_per_epoch: int
    total_steps: int
    interrupts: Interrupts
    progress: Progress = field(default_factory=Progress)
    bar: Bar = Bar(None, None)  # noqa: RUF009 - frozen
    """Shows the steps taken."""
    scaler_state: Callable[[], dict[str, Any]] | None = None
    """Returns the state of the gradient scaler, where a backend uses one (fp16)."""

    def __post_init__(self) -> None:
        self._loss: torch.Tensor | float = self.progress.loss_sum
        self._rows = 0
        self._since = time.perf_counter()

    @property
    def finished(self) -> bool:
        """Whether training is over."""
        return self.progress.stopped is not None or self.progress.step >= self.total_steps

    @property
    def epoch(self) -> float:
        """Epochs trained; a fraction in mid-epoch, with more decimals than tell any two steps apart."""
        return round(self.progress.step / self.steps_per_epoch, len(str(self.steps_per_epoch)) + 4)

    def begin(self) -> None:
        """Begin or continue: make up an evaluation that an interruption cut off, and start the clock."""
        step = self.progress.step
        if step > 0 and self._is_evaluation_step(step) and self.progress.evaluated_step != step:
            self._evaluate_and_save()
        self._since = time.perf_counter()

    def begin_step(self) -> None:
        """Set the random state of the step, which makes dropout a function of (seed, step) alone."""
        seed(self.loaded.model.device, self.seed * 1_000_003 + self.progress.step)

    def end_step(self, loss: torch.Tensor, rows: int, learning_rate: float) -> None:
        """Take note of one optimizer step.

        Args:
            loss: the step's loss, detached, shape ().
            rows: rows in the step.
            learning_rate: the rate that the step used.
        """
        progress = self.progress
        progress.step += 1
        self._loss = self._loss + loss
        sync(self.loaded.model.device)
        progress.loss_steps += 1
        self._rows += rows
        evaluates = self._is_evaluation_step(progress.step)
        if evaluates or progress.step % self.settings.log_every == 0:
            self._log(learning_rate)
        self.bar.advance(progress.step)
        if evaluates:
            self._evaluate_and_save()
        elif self.settings.save_every is not None and progress.step % self.settings.save_every == 0:
            self._save()
        if self.interrupts.signal is not None and not self.finished:
            self._save()
            raise Interrupted(self.interrupts.signal)

    def _is_evaluation_step(self, step: int) -> bool:
        every = self.settings.evaluate_every or self.steps_per_epoch
        return step % every == 0 or step == self.total_steps

    def _log(self, learning_rate: float) -> None:
        progress = self.progress
        total = float(self._loss)
        loss = total / progress.loss_steps
        if not torch.isfinite(torch.tensor(total)):
            raise FloatingPointError(
                f"the loss is {loss} at step {progress.step}; "
                "a lower trainer.learning_rate or hardware.precision=float32 may help"
            )
        now = time.perf_counter()
        speed = self._rows / (now - self._since)
        metrics = {"train/loss": loss, "train/learning_rate": learning_rate, "train/examples_per_second": speed}
        self.run.log(metrics, progress.step, self.epoch)
        text = f"loss {loss:.3f}  {speed:.0f} rows/s"
        self.bar.advance(progress.step, text)
        self.run.screen.log(f"step {progress.step}  {text}")
        self._loss, self._rows, self._since = 0.0, 0, now
        progress.loss_sum, progress.loss_steps = 0.0, 0

    def _evaluate_and_save(self) -> None:
        progress = self.progress
        try:
            metrics = self.evaluate(progress.step, self.epoch)
        except Interrupted:
            self._save()
            raise
        progress.evaluated_step = progress.step
        value = metrics.get(self.settings.best_metric)
        if value is None:
            known = sorted(name for name in metrics if not name.endswith(("_low", "_high")))
            raise UserError(f"trainer.best_metric: no '{self.settings.best_metric}' (valid: {', '.join(known)})")
        if progress.best is None or (value < progress.best if self.settings.lower_is_better else value > progress.best):
            progress.best, progress.best_checkpoint = value, self.checkpoint_name
            progress.evaluations_since_best = 0
            self.run.update(best={"step": progress.step, "epoch": self.epoch, **metrics})
        else:
            progress.evaluations_since_best += 1
        patience = self.settings.patience
        if patience is not None and progress.evaluations_since_best >= patience and progress.step < self.total_steps:
            progress.stopped = f"no better {self.settings.best_metric} in {patience} evaluation(s)"
            self.run.screen.note(f"stopping early: {progress.stopped}")
        self._save()
        self._since = time.perf_counter()

    @property
    def checkpoint_name(self) -> str:
        """Name of the checkpoint of the present step."""
        return epoch_name(self.epoch)

    def _save(self) -> None:
        progress = self.progress
        progress.loss_sum = float(self._loss)

        def write(folder: Path) -> None:
            self.loaded.save(folder)
            state = {
                "progress": asdict(progress),
                "schedule_step": self.schedule.last_epoch,
                "fixed": fixed_settings(self.run.config, self.steps_per_epoch),
            }
            if self.scaler_state is not None:
                state["scaler"] = self.scaler_state()
            write_training_state(folder, self.optimizer, state)

        began = time.perf_counter()
        with self.run.stage("checkpoints"):
            self.checkpoints.save(self.epoch, write)
            self.checkpoints.prune(self.settings.keep_checkpoints, progress.best_checkpoint)
        self._since += time.perf_counter() - began
