"""`bisum train`: fine-tune, evaluate, keep the best checkpoint, score the test split once at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from bisum.commands.start import load_rows, quiet_libraries
from bisum.config import Config
from bisum.corpus.tokenization import Collator, EncodedSplit, encode
from bisum.evaluation.evaluator import Evaluator
from bisum.hardware.devices import Device, find_device
from bisum.models.loading import LoadedModel, load
from bisum.records.report import cut_line, scores_table, show_summaries
from bisum.records.run import Run, recorded
from bisum.training.batches import TrainingLoader
from bisum.training.checkpoints import CheckpointStore, load_weights, read_training_state, restore_optimizer
from bisum.training.optimization import build_optimizer, build_schedule
from bisum.training.supervisor import Progress, Supervisor
from bisum.training.task import TrainingTask


def train(config: Config, directory: str | Path, *, resume: bool = False) -> dict[str, float]:
    """Fine-tune and score a model as `config` says, and record it all in a run directory.

    Args:
        config: a checked configuration, as `bisum.compose` returns it.
        directory: the run directory; it may not hold another run.
        resume: continue the run in `directory` from its newest sound checkpoint.

    Returns:
        The test split's metrics, with those of the best validation (`eval/...`).

    Raises:
        UserError: the corpus, the model or the hardware is not there or not as the configuration needs it.
        Failed: training failed for another reason; the traceback is in the directory's `train.log`.
    """
    quiet_libraries()
    with recorded(Path(directory), config, resume=resume) as run:
        device = find_device(config.hardware)
        store = CheckpointStore(run.directory / "checkpoints")
        checkpoint = store.newest_sound(run.screen.note) if resume else None
        corpus = load_rows(config, run)
        with run.stage("model"):
            loaded = load(_start_from(config, checkpoint), config.seed, device.precision)
            loaded.model.to(device.torch_device)  # type: ignore[arg-type]
        _describe(config, run, loaded, device, checkpoint)
        with run.stage("tokenization"):
            splits = encode(corpus, loaded, Path(config.cache_dir).expanduser())
        run.screen.print(cut_line(splits, (loaded.max_document_tokens, loaded.max_summary_tokens)))

        evaluator = Evaluator(config, run)
        baseline = _baseline(config, run, evaluator, splits["validation"].rows)
        task = _task(config, run, loaded, splits, device, evaluator, baseline, store, checkpoint)
        supervisor = task.supervisor
        with run.screen.progress("training", supervisor.total_steps, supervisor.progress.step):
            run.interrupts.deferred = True
            config.trainer.fit(task)

        return _finish(config, run, loaded, splits["test"], device, evaluator, supervisor)


def run(config: Config, directory: Path) -> float:
    """Train, or resume, for the command line; return the best value of the metric that chooses the checkpoint."""
    metrics = train(config, directory, resume=config.resume is not None)
    return metrics[config.trainer.best_metric]


def _start_from(config: Config, checkpoint: Path | None) -> Any:
    """Return the model options of the run's beginning, or of the checkpoint that it continues from."""
    if checkpoint is None:
        return config.model
    return replace(config.model, checkpoint=str(checkpoint), revision=None)


def _describe(config: Config, run: Run, loaded: LoadedModel, device: Device, checkpoint: Path | None) -> None:
    name = config.model.checkpoint or type(config.model.architecture).__name__
    backend = type(config.trainer).__name__
    run.screen.print(
        f"model: {name}, {loaded.parameters / 1e6:.1f} M parameters"
        + (f", prefix '{loaded.prefix}'" if loaded.prefix else "")
        + f"; {backend} on {device.name}, {device.precision}, seed {config.seed}"
    )
    if run.resumed:
        where = (
            f"continuing from {checkpoint.name}"
            if checkpoint
            else "no sound checkpoint yet: starting from the beginning"
        )
        run.screen.note(where)


def _baseline(config: Config, run: Run, evaluator: Evaluator, rows: pa.Table) -> dict[str, float]:
    """Score lead-k on the validation rows, record it and return its metrics."""
    name = f"lead-{config.evaluation.lead}"
    with run.stage("baseline"):
        scored = evaluator.baseline(rows)
    if not any("baseline/rouge1" in line for line in run.metrics()):
        run.log(scored.metrics, 0, 0.0)
    run.write_predictions(f"validation-lead{config.evaluation.lead}", scored.predictions)
    run.update(baseline={"system": name, "split": "validation", **scored.metrics})
    run.screen.print(
        f"\n{name} on validation, {len(rows)} rows", scores_table(scored.metrics, "baseline", config.languages)
    )
    return scored.metrics


def _task(
    config: Config,
    run: Run,
    loaded: LoadedModel,
    splits: Mapping[str, EncodedSplit],
    device: Device,
    evaluator: Evaluator,
    baseline: Mapping[str, float],
    store: CheckpointStore,
    checkpoint: Path | None,
) -> TrainingTask:
    """Put together what the backend is handed, in the state of the checkpoint if there is one."""
    settings = config.trainer
    loader = TrainingLoader(splits["train"], Collator(loaded), settings.batch_size, config.seed, config.hardware)
    steps_per_epoch = -(-len(loader) // settings.gradient_accumulation)
    total_steps = min(settings.epochs * steps_per_epoch, settings.max_steps or settings.epochs * steps_per_epoch)
    optimizer = build_optimizer(loaded.model, settings)
    schedule = build_schedule(optimizer, settings, total_steps)
    progress, scaler = Progress(), None
    if checkpoint is not None:
        tensors, state = read_training_state(checkpoint)
        restore_optimizer(optimizer, tensors, state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        progress, scaler = Progress(**state["progress"]), state.get("scaler")
    if run.resumed:
        run.rewind(progress.step)

    def evaluate(step: int, epoch: float) -> Mapping[str, float]:
        with run.stage("evaluation"):
            scored = evaluator.model(loaded, splits["validation"], device, "eval")
        run.write_predictions(f"validation-epoch-{round(epoch, 6):g}", scored.predictions)
        run.log(scored.metrics, step, epoch)
        run.update(last={"step": step, "epoch": epoch, **scored.metrics})
        run.screen.print(
            f"\nepoch {epoch:.4g}: validation loss {scored.metrics['eval/loss']:.3f}",
            scores_table(scored.metrics, "eval", config.languages, (f"lead-{config.evaluation.lead}", baseline)),
        )
        show_summaries(run, scored.predictions, config.evaluation.shown_summaries, config.languages)
        return scored.metrics

    supervisor = Supervisor(
        settings=settings,
        seed=config.seed,
        loaded=loaded,
        optimizer=optimizer,
        schedule=schedule,
        run=run,
        checkpoints=store,
        evaluate=evaluate,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        interrupts=run.interrupts,
        progress=progress,
    )
    return TrainingTask(loaded, loader, optimizer, schedule, supervisor, device, config.seed, scaler)


def _finish(
    config: Config,
    run: Run,
    loaded: LoadedModel,
    split: EncodedSplit,
    device: Device,
    evaluator: Evaluator,
    supervisor: Supervisor,
) -> dict[str, float]:
    """Score the test split once with the best checkpoint, record it and say what to do next."""
    progress = supervisor.progress
    assert progress.best_checkpoint is not None
    best = supervisor.checkpoints.directory / progress.best_checkpoint
    load_weights(loaded.model, best)
    with run.stage("test"):
        baseline = evaluator.baseline(split.rows)
        scored = evaluator.model(loaded, split, device, "test")
    epoch = float(progress.best_checkpoint.removeprefix("epoch-"))
    run.write_predictions(f"test-lead{config.evaluation.lead}", baseline.predictions)
    run.write_predictions(f"test-epoch-{epoch:g}", scored.predictions)
    run.log(scored.metrics, progress.step, supervisor.epoch)
    run.update(test={"checkpoint": progress.best_checkpoint, **scored.metrics})
    run.screen.print(
        f"\ntest, {len(split)} rows, best checkpoint ({config.trainer.best_metric}): {progress.best_checkpoint}",
        scores_table(scored.metrics, "test", config.languages, (f"lead-{config.evaluation.lead}", baseline.metrics)),
    )
    _say_next(run, best)
    return {**run.record["best"], **scored.metrics}


def _say_next(run: Run, best: Path) -> None:
    here = Path.cwd()
    shown = run.directory.relative_to(here) if run.directory.is_relative_to(here) else run.directory
    run.screen.print(
        f"\nrun directory  {shown}",
        f"best model     {shown / 'checkpoints' / best.name}  (transformers' from_pretrained reads it)",
        f"all summaries  {shown / 'predictions'}",
        "next           a larger model: bisum model=mt5_small; a sweep: bisum -m trainer.learning_rate=1e-3,3e-3",
    )
