"""What a backend is handed: everything it needs to take the steps, and nothing it must decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bisum.config import Config
from bisum.corpus.tokenization import Collator, EncodedSplit
from bisum.errors import UserError
from bisum.hardware.devices import Device
from bisum.hardware.shapes import Shapes
from bisum.models.loading import LoadedModel
from bisum.records.run import Run
from bisum.training.batches import TrainingLoader
from bisum.training.checkpoints import CheckpointStore, read_training_state
from bisum.training.language_balance import LanguageBalance
from bisum.training.optimization import build_optimizer, build_schedule
from bisum.training.supervisor import Progress, Supervisor, fixed_settings


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
    scaler: dict[str, Any] | None
    """State of the gradient scaler to continue from, where the run uses one (fp16)."""


def build_task(
    config: Config,
    run: Run,
    loaded: LoadedModel,
    split: EncodedSplit,
    device: Device,
    shapes: Shapes | None,
    balance: LanguageBalance | None,
    validate: Callable[[int, float], Mapping[str, float]],
    checkpoint: Path | None,
) -> TrainingTask:
    """Return the training that `config` asks for, in the state of `checkpoint` if one is given.

    Raises:
        UserError: the checkpoint's steps are not this configuration's, so that its position means nothing here.
    """
    settings = config.trainer
    collator = Collator(loaded, shapes, settings.batch_size)
    loader = TrainingLoader(split, collator, settings.batch_size, config.seed, config.hardware, balance)
    steps_per_epoch = -(-len(loader) // settings.gradient_accumulation)
    total_steps = min(settings.epochs * steps_per_epoch, settings.max_steps or settings.epochs * steps_per_epoch)
    optimizer = build_optimizer(loaded.model, settings)
    progress, schedule_step, scaler = Progress(), 0, None
    if checkpoint is not None:
        state = read_training_state(checkpoint, optimizer)
        before = {"corpus.language_temperature": 1.0, **state["fixed"]}  # an older bisum knew no other
        for key, value in fixed_settings(config, steps_per_epoch).items():
            if before[key] != value:
                raise UserError(f"resume: {key} was {before[key]} and cannot become {value}; start a new run")
        progress, schedule_step = Progress(**state["progress"]), state["schedule_step"]
        scaler = state.get("scaler")
        if progress.best_checkpoint is not None and not (checkpoint.parent / progress.best_checkpoint).is_dir():
            progress.best, progress.best_checkpoint = None, checkpoint.name  # the best was pruned after this one
    schedule = build_schedule(optimizer, settings, total_steps, schedule_step)
    supervisor = Supervisor(
        settings=settings,
        seed=config.seed,
        loaded=loaded,
        optimizer=optimizer,
        schedule=schedule,
        run=run,
        checkpoints=CheckpointStore(run.directory / "checkpoints"),
        evaluate=validate,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        interrupts=run.interrupts,
        progress=progress,
        scaler_state=None if scaler is None else lambda: scaler,
    )
    return TrainingTask(loaded, loader, optimizer, schedule, supervisor, device, config.seed, scaler)
