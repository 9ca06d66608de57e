"""A trainer backend: its settings, and the session that it is handed. A backend of your own is a class with `fit`.

Inherit from `bisum.training.accelerate_loop.AccelerateTrainer` to wrap its loop. A loop of your own moves the weights
and applies the settings of gradients; everything else is the session's. On one device in float32:

class Plain(Trainer):
    def fit(self, session):
        session.begin()
        while not session.finished:
            epoch, done = divmod(session.step, session.steps_per_epoch)
            session.batches.set_epoch(epoch)
            batches = islice(session.batches, done * self.gradient_accumulation, None)
            while not session.finished and (group := list(islice(batches, self.gradient_accumulation))):
                session.begin_step()
                session.model.train()
                tokens = count_all_tokens(group, session.model.device)
                rows, total = sum(len(batch["labels"]) for batch in group), 0.0
                for batch in group:
                    labels = batch.pop("labels")
                    loss = token_loss(session.model(**batch).logits, labels, tokens, self.label_smoothing)
                    loss.backward()
                    total += loss.detach()
                if self.max_gradient_norm is not None:
                    clip_grad_norm_(session.model.parameters(), self.max_gradient_norm)
                learning_rate = session.schedule.get_last_lr()[0]
                session.optimizer.step()
                session.schedule.step()
                session.optimizer.zero_grad()
                session.end_step(total, rows, learning_rate)
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from annotated_types import Ge, Gt, Lt

from bisum.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from transformers import PreTrainedModel


_BUILT_IN_METRIC = re.compile(
    r"eval/(loss|gen_len|(([\w-]+/)?|unicode/([\w-]+/)?)rouge(1|2|L|Lsum)(_precision|_recall)?)"
)


class TrainingDevice(Protocol):
    """Where the model is, and the number format of its forward pass."""

    @property
    def is_cpu(self) -> bool: ...  # noqa: D102

    @property
    def accelerate_precision(self) -> str:
        """Accelerate's `mixed_precision`: no, bf16 or fp16."""

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context of a training's forward pass, beside `accelerate_precision`."""


class TrainingBatches(Protocol):
    """The batches of the training rows, one for each forward pass, the same in every backend."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) of the next iteration."""

    def __iter__(self) -> Iterator[Mapping[str, torch.Tensor]]:
        """Yield the batches of the epoch, from its first: what the model is called with, on the CPU, and `labels`.

        `labels` are token ids of shape (rows, summary tokens), -100 where none counts. They go to
        `bisum.models.loss.token_loss`, not to the model. A backend that continues in mid-epoch skips the batches of
        the steps that are done; batches are a function of (seed, epoch), so this resumes exactly.
        """

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""


class TrainingSession(Protocol):
    """What a backend is handed: all it needs to take the steps, and what must happen between them.

    The model is on its device. Weights, optimizer and schedule are in the state of the step to continue from.
    Evaluation puts the model into evaluation mode and back, so a backend chooses the training mode at each step.
    """

    @property
    def model(self) -> PreTrainedModel: ...  # noqa: D102

    @property
    def batches(self) -> TrainingBatches: ...  # noqa: D102

    @property
    def optimizer(self) -> Optimizer: ...  # noqa: D102

    @property
    def schedule(self) -> LRScheduler:
        """The schedule of the learning rate, to be stepped once after each optimizer step."""

    @property
    def device(self) -> TrainingDevice: ...  # noqa: D102

    @property
    def seed(self) -> int: ...  # noqa: D102

    @property
    def step(self) -> int:
        """Optimizer steps taken."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch: its batches by `Trainer.gradient_accumulation`, rounded up."""

    @property
    def finished(self) -> bool:
        """Whether training is over."""

    def attach_scaler(self, scaler: Any) -> None:
        """Continue with the state of a gradient scaler (fp16), and keep it in checkpoints."""

    def begin(self) -> None:
        """Begin or continue; called once, before the first step."""

    def begin_step(self) -> None:
        """Set the random state of the step; called before each optimizer step."""

    def end_step(self, loss: torch.Tensor, rows: int, learning_rate: float) -> None:
        """Log, evaluate, save and stop where it is time to; called after each optimizer step.

        Args:
            loss: the step's loss, detached, shape ().
            rows: rows in the step.
            learning_rate: the rate that the step used.
        """


@dataclass(frozen=True, kw_only=True)
class Trainer(ABC):
    """A backend and its settings: it moves the weights; everything between the steps is the session's.

    With the same settings all backends must take the same steps. A backend applies `gradient_accumulation`,
    `gradient_checkpointing`, `max_gradient_norm` and `label_smoothing`; the session applies the other settings.
    """

    @abstractmethod
    def fit(self, session: TrainingSession) -> None:
        """Train `session.model` from `session.step` until `session.finished`."""

    epochs: Annotated[int, Ge(1)]
    """Passes over the training rows."""
    max_steps: Annotated[int, Ge(1)] | None
    """Optimizer steps after which training ends, however many epochs were asked; null: no such limit."""
    batch_size: Annotated[int, Ge(1)]
    """Rows in one forward pass."""
    gradient_accumulation: Annotated[int, Ge(1)]
    """Forward passes whose gradients make one optimizer step."""
    gradient_checkpointing: bool
    """Recompute activations in the backward pass: less memory, more time, the same numbers."""
    learning_rate: Annotated[float, Gt(0)]
    """Peak step size of the optimizer."""
    optimizer: Literal["adamw", "adafactor"]
    """AdamW (Loshchilov & Hutter 2019), or Adafactor (Shazeer & Stern 2018) with a given learning rate."""
    schedule: Literal["linear", "cosine", "constant"]
    """Shape of the learning rate after warmup; linear and cosine end at 0."""
    warmup: Annotated[float, Ge(0)]
    """Steps in which the learning rate rises from 0; below 1 it is a share of all steps."""
    weight_decay: Annotated[float, Ge(0)]
    """Decoupled decay of the weights per step, times the learning rate."""
    decay_all_parameters: bool
    """Decay biases and normalization weights too (torch's default), not only matrices."""
    max_gradient_norm: Annotated[float, Gt(0)] | None
    """Gradients of a larger 2-norm are scaled down to it; null: never."""
    label_smoothing: Annotated[float, Ge(0), Lt(1)]
    """Share of the target probability spread evenly over the vocabulary, in the training loss only."""
    evaluate_every: Annotated[int, Ge(1)] | None
    """Optimizer steps between evaluations; null: at the end of each epoch."""
    save_every: Annotated[int, Ge(1)] | None
    """Optimizer steps between checkpoints besides those after evaluations; null: none."""
    keep_checkpoints: Annotated[int, Ge(1)] | None
    """Most recent checkpoints kept; the best is kept besides them; null: all."""
    best_metric: str
    """Metric of the validation split that chooses the best checkpoint; eval/loss: lowest, any other: highest."""
    patience: Annotated[int, Ge(1)] | None
    """Evaluations in a row without a better `best_metric` after which training stops early; null: never."""
    log_every: Annotated[int, Ge(1)]
    """Optimizer steps between logged training losses, each the mean over those steps."""

    def __post_init__(self) -> None:
        if not self.best_metric.startswith("eval/"):
            raise UserError(f"best_metric '{self.best_metric}' must begin with eval/ (for example eval/rougeL)")

    def names_built_in_metric(self) -> bool:
        """Tell whether `best_metric` is one that every evaluation yields."""
        return _BUILT_IN_METRIC.fullmatch(self.best_metric) is not None

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller `best_metric` is the better one."""
        return self.best_metric == "eval/loss"
