"""What a backend is handed: everything it needs to take the steps, and nothing it must decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bisum.hardware.devices import Device
from bisum.models.loading import LoadedModel
from bisum.training.batches import TrainingLoader
from bisum.training.supervisor import Supervisor


@dataclass(frozen=True)
class TrainingTask:
    """One training, from `supervisor.progress.step` to its end."""

    loaded: LoadedModel
    """The model, already on the device, with its tokenizer."""
    loader: TrainingLoader
    """Batches of the training rows; `set_epoch` chooses their order."""
    optimizer: Optimizer
    """Over the model's parameters; its state is that of the step to continue from."""
    schedule: LRScheduler
    """Of the optimizer's learning rate; to be stepped once after each optimizer step."""
    supervisor: Supervisor
    """To be told of every step."""
    device: Device
    """Where the model is."""
    seed: int
    """Seed of the run."""
    scaler: dict[str, Any] | None = None
    """State of the gradient scaler to continue from, where the run uses one (fp16)."""
