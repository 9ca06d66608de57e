"""What every trainer backend is told, and the interface it offers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

from bisum.errors import UserError

if TYPE_CHECKING:
    from bisum.training.task import TrainingTask

_BUILT_IN_METRIC = re.compile(
    r"eval/(loss|gen_len|(([\w-]+/)?|unicode/([\w-]+/)?)rouge(1|2|L|Lsum)(_precision|_recall)?)"
)


@dataclass(frozen=True, kw_only=True)
class Trainer(ABC):
    """A backend and its settings: it moves the weights; everything between steps is the supervisor's.

    With the same settings all backends take the same steps.
    """

    @abstractmethod
    def fit(self, task: TrainingTask) -> None:
        """Train `task.loaded.model` from `task.supervisor.progress.step` until the supervisor says that it is over."""

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
