"""The disk space that a run's checkpoints will need, checked before training."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from torch.optim import Optimizer

from bisum.display.resources import with_unit
from bisum.errors import UserError
from bisum.interfaces.trainer import Trainer
from bisum.models.loading import LoadedModel
from bisum.runs.checkpoints import checkpoints_in
from bisum.training.memory import optimizer_bytes


@dataclass(frozen=True)
class Space:
    """Additional checkpoints that will exist at once, and the disk space for them."""

    count: int
    size: int
    """Bytes of one checkpoint."""
    free: int
    """Bytes free on the disk of the run directory."""

    @property
    def needed(self) -> int:
        """Bytes that the checkpoints will need."""
        return self.count * self.size

    def __str__(self) -> str:
        if self.count == 1:
            return f"1 checkpoint needs {with_unit(self.needed)}, and {with_unit(self.free)} is free"
        each = f"{self.count:,} checkpoints of {with_unit(self.size)}"
        return f"{each} need {with_unit(self.needed)}, and {with_unit(self.free)} is free"


def check_space(space: Space, directory: Path, keep: int | None) -> None:
    """Raise UserError if the disk lacks space for the checkpoints of the run in `directory`."""
    if space.needed > space.free:
        kept = "null" if keep is None else keep
        raise UserError(
            f"hydra.run.dir: not enough disk space for '{directory}': {space}; free some space, choose another "
            f"hydra.run.dir, or keep fewer with trainer.keep_checkpoints (now {kept})"
        )


def measure_space(directory: Path, loaded: LoadedModel, optimizer: Optimizer, settings: Trainer, saves: int) -> Space:
    """Return the space for `saves` more checkpoints of the run in `directory`, in its folder `checkpoints`."""
    existing = len(checkpoints_in(directory / "checkpoints"))
    free = shutil.disk_usage(directory).free
    size = checkpoint_size(loaded, optimizer, settings)
    return Space(count=checkpoints_at_once(settings, saves, existing), size=size, free=free)


def checkpoints_at_once(settings: Trainer, saves: int, existing: int = 0) -> int:
    """Return how many of `saves` more checkpoints exist at once, beside the existing ones.

    The kept checkpoints, the best and the one being written exist at once.
    """
    kept = settings.keep_checkpoints
    if kept is not None and settings.save_every is not None:
        kept = max(kept, 2)  # see Session._checkpoints_to_keep
    most = saves + existing if kept is None else kept + 2
    return min(saves, max(1, most - existing))


def saves_before_rows(settings: Trainer) -> int | None:
    """Return how many checkpoints a run saves; None if it depends on the number of steps, and so on the rows."""
    return None if settings.evaluate_every or settings.save_every or settings.max_steps else settings.epochs


def checkpoint_size(loaded: LoadedModel, optimizer: Optimizer, settings: Trainer) -> int:
    """Return the approximate bytes of a checkpoint: weights, the optimizer's state and the tokenizer.

    With an average of the weights, which the model is saved with, there are also those that the optimizer updates.
    """
    weights = {id(tensor): tensor for tensor in loaded.stored_weights().values()}
    size: int = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    backend = getattr(loaded.tokenizer, "backend_tokenizer", None)
    return size + optimizer_bytes(optimizer, settings) + (len(backend.to_str(True).encode()) if backend else 0)
