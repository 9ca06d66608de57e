"""The interface of a trainer backend: its settings and its session. Your own backend is a class with `fit`.

Inherit from `bisum.training.accelerate_loop.AccelerateTrainer` to wrap its loop. Your own loop updates the weights and
applies the gradient settings; the session does everything else. On one device in float32:

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
                norm = None
                if self.max_gradient_norm is not None:
                    norm = clip_grad_norm_(session.model.parameters(), self.max_gradient_norm)
                learning_rate = session.schedule.get_last_lr()[0]
                session.optimizer.step()
                session.schedule.step()
                session.optimizer.zero_grad()
                session.end_step(total, rows, learning_rate, norm)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from annotated_types import Ge, Gt, Le, Lt

from bisum.errors import UserError
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from torch.utils.data import Dataset
    from transformers import PreTrainedModel


AUTO = "auto"
"""The value of `Trainer.best_metric` that makes the choice depend on the corpus's languages."""


class TrainingDevice(Protocol):
    """The device of the model, and the number format of its forward pass."""

    @property
    def is_cpu(self) -> bool:
        """Whether this is the CPU."""

    @property
    def accelerate_precision(self) -> str:
        """Accelerate's `mixed_precision`: no, bf16 or fp16."""

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context for a forward pass in training, in addition to `accelerate_precision`."""


class TrainingBatches(Protocol):
    """The training batches, one per forward pass, identical in all backends."""

    @property
    def dataset(self) -> Dataset[Any]:
        """The tokenized training rows, for backends whose library requires a data set."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) of the next iteration."""

    def __iter__(self) -> Iterator[Mapping[str, torch.Tensor]]:
        """Yield the epoch's batches from the first: the model's keyword arguments and `labels`, all on the CPU.

        `labels` are token ids of shape (rows, summary tokens), -100 at ignored positions. They go to
        `bisum.models.loss.token_loss`, not to the model. A backend that resumes in mid-epoch skips the batches of
        completed steps. Batches are a function of (seed, epoch), so this resumes exactly.
        """

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""


class TrainingSession(Protocol):
    """All that a backend needs to take optimizer steps, and the work to do between them.

    Weights, optimizer and schedule have the state of the step to continue from. Evaluation changes the model's mode
    and restores it, so a backend must set the training mode at each step.
    """

    @property
    def model(self) -> PreTrainedModel:
        """The model, on its device."""

    @property
    def batches(self) -> TrainingBatches:
        """The training batches."""

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer of the model's weights."""

    @property
    def schedule(self) -> LRScheduler:
        """The learning-rate schedule. Step it once after each optimizer step."""

    @property
    def device(self) -> TrainingDevice:
        """The device of the model."""

    @property
    def seed(self) -> int:
        """The seed of the run."""

    @property
    def step(self) -> int:
        """Number of optimizer steps taken."""

    @property
    def steps_per_epoch(self) -> int:
        """Number of optimizer steps in an epoch: batches divided by `Trainer.gradient_accumulation`, rounded up."""

    @property
    def finished(self) -> bool:
        """Whether training is over."""

    def attach_scaler(self, scaler: Any) -> None:
        """Restore the state of a gradient scaler (fp16), and save it in checkpoints."""

    def begin(self) -> None:
        """Begin or continue training. Call it once, before the first step."""

    def begin_step(self) -> None:
        """Set the random state of the step. Call it before each optimizer step."""

    def end_step(
        self, loss: torch.Tensor, rows: int, learning_rate: float, grad_norm: torch.Tensor | None = None
    ) -> None:
        """Log, evaluate, save and stop when due. Call it after each optimizer step.

        Args:
            loss: the step's loss, detached, shape ().
            rows: number of rows in the step.
            learning_rate: the learning rate of the step.
            grad_norm: the 2-norm of all gradients of the step before clipping, detached, shape (). With fp16, the norm
                of the unscaled gradients. `train/grad_norm` is its value at the logged steps, as in transformers'
                Trainer; null in `metrics.jsonl` if it is not finite, and missing if a backend does not pass it.

        Raises:
            Interrupted: a signal ends the run. Let all exceptions propagate.
            FloatingPointError: the loss is not finite.
            UserError: a user's metric failed during an evaluation.
        """


@dataclass(frozen=True, kw_only=True)
class Trainer(ABC):
    """A backend and its settings. It updates the weights; the session does everything between the steps.

    All backends must take the same steps under the same settings. A backend applies `gradient_accumulation`,
    `gradient_checkpointing`, `max_gradient_norm` and `label_smoothing`; the session applies the other settings.
    """

    @abstractmethod
    def fit(self, session: TrainingSession) -> None:
        """Train `session.model` from `session.step` until `session.finished`."""

    def check(self, device: TrainingDevice) -> None:  # noqa: B027 - most backends need no further check
        """Raise `UserError` for settings that cannot work on `device`; called before the corpus is read."""

    epochs: Annotated[int, Ge(1), Le(10_000)]
    """Number of passes over the training rows."""
    max_steps: Annotated[int, Ge(1), Le(1_000_000_000)] | None
    """Number of optimizer steps after which training ends, regardless of `epochs`; null: no limit."""
    batch_size: Annotated[int, Ge(1), Le(65_536)]
    """Number of rows in a forward pass."""
    tokens_per_batch: Annotated[int, Ge(1), Le(1_000_000_000)] | None
    """Maximum number of tokens in a forward pass, padding included, instead of `batch_size`: batches of short rows have
    more rows. Documents and summaries count. null: `batch_size` rows."""
    gradient_accumulation: Annotated[int, Ge(1), Le(65_536)]
    """Number of forward passes per optimizer step."""
    gradient_checkpointing: bool
    """Recompute activations in the backward pass: less memory, more time, the same results."""
    compile: bool
    """Compile the training step with torch.compile: one program for each of `hardware.length_buckets`, or one for all
    lengths. Compilation takes minutes; evaluation is not compiled."""
    learning_rate: Annotated[float, Gt(0), Le(1e38)]
    """Peak step size of the optimizer."""
    optimizer: Literal["adamw", "adafactor"]
    """AdamW (Loshchilov & Hutter 2019), or Adafactor (Shazeer & Stern 2018) with a given learning rate."""
    schedule: Literal["linear", "cosine", "constant"]
    """Learning-rate schedule after warmup; linear and cosine end at 0."""
    warmup: Annotated[float, Ge(0), Le(1e9)]
    """Number of steps during which the learning rate rises from 0; below 1: a share of all steps, rounded up."""
    weight_decay: Annotated[float, Ge(0), Le(1000)]
    """Decoupled weight decay per step, multiplied by the learning rate."""
    decay_all_parameters: bool
    """Decay all parameters, like torch by default; false: except biases and normalization weights, like transformers'
    Trainer."""
    max_gradient_norm: Annotated[float, Gt(0), Le(1e12)] | None
    """Maximum 2-norm of the gradients; larger gradients are scaled down to it; null: no clipping."""
    label_smoothing: Annotated[float, Ge(0), Lt(1)]
    """Share of the target probability spread evenly over the vocabulary, in the training loss only."""
    average: Annotated[float, Gt(0), Lt(1)] | None
    """Decay of an exponential moving average of the weights, which is evaluated and saved: the share of the average
    that each step keeps (0.999, for example). In step n, it is at most (1 + n) / (10 + n), which stays below 0.999
    until step 8,990. null: evaluate and save the weights themselves."""
    evaluate_every: Annotated[int, Ge(1), Le(1_000_000_000)] | None
    """Number of optimizer steps between evaluations; null: evaluate at the end of each epoch."""
    save_every: Annotated[int, Ge(1), Le(1_000_000_000)] | None
    """Number of optimizer steps between extra checkpoints; null: save only after evaluations."""
    keep_checkpoints: Annotated[int, Ge(1), Le(100_000)] | None
    """Number of recent checkpoints to keep, in addition to the best; null: all."""
    best_metric: Name
    """Validation score that selects the best checkpoint, in its own direction.

    auto: eval/rougeL, or eval/unicode/rougeL if rouge_score's tokenizer loses most letters of one of the languages.
    Ties go to the lower eval/loss.
    """
    patience: Annotated[int, Ge(1), Le(100_000)] | None
    """Number of evaluations in a row without a better `best_metric` before training stops early; null: never."""
    log_every: Annotated[int, Ge(1), Le(1_000_000_000)]
    """Number of optimizer steps between logged training losses, each a mean over those steps."""

    def __post_init__(self) -> None:
        if self.best_metric != AUTO and not self.best_metric.startswith("eval/"):
            raise UserError(f"best_metric: '{self.best_metric}' must be {AUTO} or begin with eval/, as in eval/rougeL")
