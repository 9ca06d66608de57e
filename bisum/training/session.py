"""The training session: the work between optimizer steps, common to all backends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from safetensors import SafetensorError
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from bisum.batches.sampling import TrainingLoader
from bisum.errors import one_line
from bisum.hardware.devices import Device
from bisum.hardware.xla import seed as seed_step
from bisum.hardware.xla import sync
from bisum.interfaces.progress import Bar
from bisum.interfaces.trainer import Trainer
from bisum.models.loading import LoadedModel
from bisum.records.run import Run
from bisum.runs.checkpoints import epoch_name, epoch_of
from bisum.runs.metrics import mark_metrics
from bisum.runs.signals import Interrupted
from bisum.training.average import Average
from bisum.training.checkpoints import CheckpointStore, write_training_state
from bisum.training.finite import FiniteSteps, find_non_finite_state, recovery
from bisum.training.progress import Progress, epoch_at, fixed_settings
from bisum.training.time_left import TimeLeft
from bisum.training.watcher import Watcher


class Validate(Protocol):
    """A function that scores the validation split, and records and shows the scores."""

    def __call__(self, step: int, epoch: float, train_loss: float) -> Mapping[str, float]:
        """Return the metrics at a step; `train_loss` is the mean over the steps since the last evaluation."""


class Prune(Protocol):
    """A function that reports an evaluation to a search."""

    def __call__(self, evaluation: int, metrics: Mapping[str, float]) -> str | None:
        """Return why the run should end, or None; `evaluation` counts from 1."""


@dataclass
class Session:
    """A training run from `progress.step` to its end; see `bisum.interfaces.trainer.TrainingSession`.

    A backend calls `begin` once, and `begin_step` and `end_step` around every optimizer step.
    """

    settings: Trainer
    best_metric: str
    """Name of the metric that selects the best checkpoint, which `settings.best_metric` can leave open."""
    higher_is_better: bool
    """The direction of that metric."""
    seed: int
    loaded: LoadedModel
    batches: TrainingLoader
    optimizer: Optimizer
    schedule: LRScheduler
    device: Device
    run: Run
    checkpoints: CheckpointStore
    validate: Validate
    steps_per_epoch: int
    total_steps: int
    time_left: TimeLeft
    """Estimate of the time until the run ends."""
    progress: Progress = field(default_factory=Progress)
    scaler: dict[str, Any] | None = None
    """State of the gradient scaler to resume from, if the run uses one (fp16)."""
    average: Average | None = None
    """The average of the weights that is evaluated and saved, if there is one."""
    watcher: Watcher = field(default_factory=Watcher)
    """Observer of every step, which can stop training."""
    bar: Bar | None = None
    """Progress bar over the steps."""
    prune: Prune | None = None
    """Decision of a search, after each evaluation, whether to end the run early."""
    publish: Callable[[Path], None] | None = None
    """Function that shares a checkpoint after its evaluation."""
    pruned: str | None = None
    """Reason why the search ended the run, if it did."""

    def __post_init__(self) -> None:
        self._loss: torch.Tensor | float = self.progress.loss_sum
        self._grad_norm: torch.Tensor | None = None
        self._rows = 0
        self._since = time.perf_counter()
        self._scaler_state: Callable[[], dict[str, Any] | None] = lambda: self.scaler
        self._first_step, self._first_epoch = self.step, self.epoch
        self._finite_steps = FiniteSteps(self.step)

    @property
    def model(self) -> PreTrainedModel:
        """The model, on its device."""
        return self.loaded.model

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return self.progress.step

    def attach_scaler(self, scaler: Any) -> None:
        """Restore the state of a gradient scaler (fp16), and save the scaler in checkpoints."""
        if self.scaler is not None:
            scaler.load_state_dict(self.scaler)
        self._scaler_state = scaler.state_dict

    @property
    def finished(self) -> bool:
        """Whether training is over."""
        return bool(self.progress.stopped or self.pruned) or self.progress.step >= self.total_steps

    @property
    def epoch(self) -> float:
        """Epochs trained, fractional in mid-epoch, with enough decimals to distinguish any two steps."""
        return epoch_at(self.progress.step, self.steps_per_epoch)

    def begin(self) -> None:
        """Start or resume training: repeat an evaluation that an interruption cut off, and start the clock."""
        step = self.progress.step
        if step > 0 and self._is_evaluation_step(step) and self.progress.evaluated_step != step:
            self._evaluate_and_save()
        self.watcher.begin(self.step, self.total_steps)
        self._since = time.perf_counter()
        self.time_left.begin()

    def begin_step(self) -> None:
        """Seed the random generators for the step: dropout depends only on (seed, step)."""
        seed_step(self.model.device, self.seed * 1_000_003 + self.progress.step)
        self.watcher.begin_step()

    def end_step(
        self, loss: torch.Tensor, rows: int, learning_rate: float, grad_norm: torch.Tensor | None = None
    ) -> None:
        """Record one optimizer step; log, evaluate, save and stop when due. See `TrainingSession.end_step`."""
        progress = self.progress
        progress.step += 1
        if self.average is not None:
            self.average.update(progress.step)
        progress.stopped = self.watcher.end_step(progress.step, loss)
        self._loss = self._loss + loss
        self._grad_norm = grad_norm
        # A gradient scaler skips steps whose norm is not finite.
        self._finite_steps.add(self._loss, grad_norm if self._scaler_state() is None else None)
        sync(self.model.device)
        progress.loss_steps += 1
        self._rows += rows
        left = self.time_left.end_step(progress.step, self.run.screen)
        evaluates = self._is_evaluation_step(progress.step)
        if evaluates or progress.step % self.settings.log_every == 0:
            self._log(learning_rate)
        if self.bar is not None:
            self.bar.advance(progress.step, left=left)
        if evaluates:
            self._evaluate_and_save()
            self.time_left.end_evaluation()
        elif self.settings.save_every is not None and progress.step % self.settings.save_every == 0:
            self._save()
            self.time_left.end_save()
        if self.run.interrupts.signal is not None and not self.finished:  # deferred to the end of the step
            self._save()
            raise Interrupted(self.run.interrupts.signal)

    def _is_evaluation_step(self, step: int) -> bool:
        every = self.settings.evaluate_every or self.steps_per_epoch
        return step % every == 0 or step == self.total_steps or self.progress.stopped is not None

    def _log(self, learning_rate: float) -> None:
        progress = self.progress
        total = float(self._loss)
        loss = total / progress.loss_steps
        self._check_loss(total)
        now = time.perf_counter()
        speed = self._rows / (now - self._since)
        metrics = {"train/loss": loss, "train/learning_rate": learning_rate, "train/examples_per_second": speed}
        if self._grad_norm is not None:
            metrics["train/grad_norm"] = grad_norm = float(self._grad_norm)
            if not math.isfinite(grad_norm):
                self._report_norm(grad_norm)
        self.run.log(metrics, progress.step, self.epoch)
        text = f"loss {loss:.3f}  {speed:.0f} rows/s"
        if self.bar is not None:
            self.bar.advance(progress.step, text)
        self.run.screen.log(f"step {progress.step}  {text}")
        progress.epoch_loss_sum += total
        progress.epoch_loss_steps += progress.loss_steps
        self._loss, self._rows, self._since = 0.0, 0, now
        progress.loss_sum, progress.loss_steps = 0.0, 0

    def _report_norm(self, grad_norm: float) -> None:
        """Report a gradient norm that is not finite, which JSON cannot represent."""
        scaled = self._scaler_state() is not None
        what = "fp16 skips the step and lowers its loss scale" if scaled else "a lower trainer.learning_rate may help"
        self.run.screen.note(f"step {self.progress.step}: the gradient norm is {grad_norm}, recorded as null; {what}")

    def _check_loss(self, total: float) -> None:
        """Fail if the sum of the losses since the last logged step is not finite."""
        if not math.isfinite(total):
            problem = find_non_finite_state(self.model, self.optimizer)
            of = f" ({problem})" if problem else ""
            what = f"the loss is {total / self.progress.loss_steps} at step {self.step}{of}"
            self._fail(what, self._finite_steps.checkpoint_step(self.step))

    def _check_state(self) -> None:
        """Fail if a weight or the optimizer's state is not finite."""
        if problem := find_non_finite_state(self.model, self.optimizer):
            self._fail(f"{problem} at step {self.step}", self._finite_steps.checkpoint_step(self.step))
        self._finite_steps.reset(self.step)

    def _fail(self, what: str, sound_step: int) -> NoReturn:
        """Set aside the checkpoints after `sound_step` and the last sound evaluation; fail with advice."""
        sound_epoch = epoch_at(max(sound_step, self.progress.evaluated_step), self.steps_per_epoch)
        for name, aside in self.checkpoints.set_aside_after(sound_epoch, "unsound").items():
            self.run.screen.warn(
                f"checkpoint {name} leads to non-finite values when training continues; renamed to {aside}"
            )
        left = self.checkpoints.newest
        how = recovery(
            str(self.run.shown),
            left.name if left else None,
            self.settings.learning_rate,
            full_precision=self.device.precision == "float32",
            failed_again=left is not None and epoch_of(left) == self._first_epoch and sound_step < self._first_step,
        )
        raise FloatingPointError(f"{what}; {how}")

    def _evaluate_and_save(self) -> None:
        progress = self.progress
        self.watcher.pause()
        self._check_state()
        try:
            with self._averaged_weights():
                metrics = self.validate(progress.step, self.epoch, progress.mean_loss(float(self._loss)))
        except Interrupted:
            self._save()
            raise
        if not math.isfinite(metrics["eval/loss"]):
            self._fail(f"eval/loss is {metrics['eval/loss']} at step {self.step}", progress.evaluated_step)
        progress.evaluated_step = progress.step
        progress.epoch_loss_sum, progress.epoch_loss_steps = 0.0, 0
        value = metrics.get(self.best_metric, math.nan)
        if not math.isfinite(value):
            missing = f"{value}" if self.best_metric in metrics else "missing, since no row has a value"
            self.run.screen.warn(f"{self.best_metric} is {missing}; this checkpoint cannot be the best")
        if progress.count_evaluation(self.checkpoint_name, value, metrics["eval/loss"], self.higher_is_better):
            self.run.update(best={"step": progress.step, "epoch": self.epoch, **metrics})
        patience = self.settings.patience
        if patience is not None and progress.evaluations_since_best >= patience and progress.step < self.total_steps:
            progress.stopped = f"{self.best_metric} has not improved in {patience} evaluation(s)"
            self.run.screen.note(f"stopping early: {progress.stopped}")
        evaluation = -(-progress.step // (self.settings.evaluate_every or self.steps_per_epoch))
        why = None if self.prune is None else self.prune(evaluation, metrics)
        self._save()
        if self.publish is not None:
            self.publish(self.checkpoints.directory / self.checkpoint_name)
        self.pruned = None if self.finished else why
        self._since = time.perf_counter()

    def _averaged_weights(self) -> AbstractContextManager[None]:
        """Swap in the averaged weights during a block, if there are any."""
        return nullcontext() if self.average is None else self.average.in_model()

    @property
    def checkpoint_name(self) -> str:
        """Name of the checkpoint for the current step."""
        return epoch_name(self.epoch)

    def _save(self) -> None:
        progress = self.progress
        began = time.perf_counter()
        progress.loss_sum = float(self._loss)
        self.watcher.pause()
        self._check_state()
        self._check_loss(progress.loss_sum)

        def write(folder: Path) -> None:
            with self._averaged_weights():
                self.loaded.save(folder)  # weights, configuration, tokenizer
            state = {
                "progress": asdict(progress),
                "schedule_step": self.schedule.last_epoch,
                "fixed": fixed_settings(self.run.config, self.steps_per_epoch, self.best_metric),
                "metrics": mark_metrics(self.run.directory),
            }
            if (scaler := self._scaler_state()) is not None:
                state["scaler"] = scaler
            write_training_state(folder, self.optimizer, state, with_weights=self.average is not None)

        with self.run.stage("checkpoints"):
            try:
                self.checkpoints.save(self.epoch, write)
            except (OSError, SafetensorError) as error:
                where = f"{self.checkpoint_name} cannot be written to '{self.checkpoints.directory}'"
                raise OSError(
                    f"{where}: {getattr(error, 'strerror', None) or one_line(error)}; earlier checkpoints are intact: "
                    f"free some space, then bisum resume={self.run.shown}"
                ) from error
            self.checkpoints.prune(self._checkpoints_to_keep(), progress.best_checkpoint)
        self._since += time.perf_counter() - began

    def _checkpoints_to_keep(self) -> int | None:
        """Return how many checkpoints to keep: at least two, until a step or evaluation confirms the newest."""
        keep = self.settings.keep_checkpoints
        return keep if keep is None or self.progress.evaluated_step == self.progress.step else max(keep, 2)
