"""Construction of the session that a backend receives."""

from __future__ import annotations

from pathlib import Path

from bisum.batches.collation import Collator
from bisum.batches.language_balance import LanguageBalance
from bisum.batches.sampling import TrainingLoader
from bisum.batches.shapes import Shapes
from bisum.batches.tokenization import EncodedSplit
from bisum.config.schema import Config
from bisum.errors import UserError
from bisum.hardware.devices import Device
from bisum.models.loading import LoadedModel
from bisum.records.run import Run
from bisum.runs.metrics import missing_metrics
from bisum.training.average import Average
from bisum.training.checkpoints import CheckpointStore, read_training_state
from bisum.training.debugging import build_watcher
from bisum.training.disk_space import check_space, measure_space
from bisum.training.optimization import build_optimizer, build_schedule, warmup_steps
from bisum.training.progress import Progress, count_saves, fixed_settings, read_state
from bisum.training.scoring import Scoring
from bisum.training.session import Session
from bisum.training.time_left import TimeLeft


def start_session(
    config: Config,
    run: Run,
    loaded: LoadedModel,
    split: EncodedSplit,
    device: Device,
    shapes: Shapes | None,
    balance: LanguageBalance | None,
    scoring: Scoring,
    checkpoint: Path | None,
) -> Session:
    """Create the training session for `config`, restored from `checkpoint` if given.

    Raises:
        UserError: the checkpoint's fixed settings differ from `config`, so its position is meaningless here; it or the
            run's record was edited; or the disk lacks space for the run's checkpoints.
    """
    settings = config.trainer
    collator = Collator(loaded, shapes, settings.batch_size)
    batches = TrainingLoader(
        split, collator, settings.batch_size, config.seed, config.hardware, balance, settings.tokens_per_batch
    )
    steps_per_epoch = -(-len(batches) // settings.gradient_accumulation)
    total_steps = min(settings.epochs * steps_per_epoch, settings.max_steps or settings.epochs * steps_per_epoch)
    if (warmup := warmup_steps(settings.warmup, total_steps)) >= total_steps:
        run.screen.warn(
            f"trainer.warmup: {warmup:,} steps, but training has {total_steps:,}, so the learning rate never reaches "
            f"{settings.learning_rate:g}"
        )
    optimizer = build_optimizer(loaded.model, settings)
    # A checkpoint's model has the averaged weights, which `read_training_state` replaces.
    average = None if settings.average is None else Average(optimizer, settings.average)
    progress, schedule_step, scaler = Progress(), 0, None
    if checkpoint is not None:
        fixed = fixed_settings(config, steps_per_epoch, scoring.best_metric)
        progress, state = read_state(checkpoint, fixed, steps_per_epoch)
        schedule_step, scaler = state["schedule_step"], state.get("scaler")
        read_training_state(checkpoint, optimizer, with_weights=average is not None)
        if progress.best is not None and not run.record.get("best"):
            raise UserError(f"'{run.directory / 'run.json'}': best is missing, but {checkpoint.name} has one")
        if "metrics" in state and (missing := missing_metrics(run.directory, state["metrics"], progress.step)):
            run.screen.warn(missing)
        if progress.best_checkpoint is not None and not (checkpoint.parent / progress.best_checkpoint).is_dir():
            progress.best, progress.best_checkpoint = None, checkpoint.name  # the best was pruned after this was saved
    space = measure_space(
        run.directory, loaded, optimizer, settings, count_saves(settings, progress.step, total_steps, steps_per_epoch)
    )
    run.screen.log(f"disk space: {space}")
    check_space(space, run.shown, settings.keep_checkpoints)
    return Session(
        settings=settings,
        best_metric=scoring.best_metric,
        higher_is_better=scoring.higher_is_better,
        seed=config.seed,
        loaded=loaded,
        batches=batches,
        optimizer=optimizer,
        schedule=build_schedule(optimizer, settings, total_steps, schedule_step),
        device=device,
        run=run,
        checkpoints=CheckpointStore(run.checkpoints),
        validate=scoring.validate,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        progress=progress,
        scaler=scaler,
        average=average,
        watcher=build_watcher(config, run, loaded, split),
        time_left=TimeLeft(
            settings,
            steps_per_epoch,
            total_steps,
            len(split) / steps_per_epoch,
            scoring.rows("validation"),
            scoring.rows("test"),
        ),
    )
