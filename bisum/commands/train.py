"""`bisum train`: fine-tune, evaluate, keep the best checkpoint, and score the test split once at the end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from bisum.commands.models import (
    build_balance,
    build_device,
    build_model,
    build_shapes,
    build_splits,
    check_before_corpus,
    merge_best,
    new_directory,
)
from bisum.commands.resources import report_before_download, report_before_training, report_used
from bisum.commands.rows import build_batch, build_corpus, check_metrics, find_profile
from bisum.config.environment import check_environment, restored_environment
from bisum.config.schema import Config
from bisum.display.quiet import libraries_for, quiet_libraries
from bisum.errors import UserError
from bisum.evaluation.evaluator import Evaluator
from bisum.hub.uploads import Uploads, check_login
from bisum.models.noise import cheap_dropout
from bisum.records.run import Run, recorded
from bisum.runs.metrics import training_speed
from bisum.runs.record import read_record
from bisum.sweeps.pruning import pruning
from bisum.training.checkpoints import CheckpointStore, flaw
from bisum.training.compilation import check_compiler, compiled, describe_compilation
from bisum.training.scoring import Scoring, report
from bisum.training.start import start_session


def train(config: Config, directory: str | Path | None = None) -> dict[str, float]:
    """Fine-tune and score the configured model, and record everything in a run directory.

    Args:
        config: a checked configuration from `bisum.compose`. If it sets `resume`, that run continues from its newest
            intact checkpoint.
        directory: the run directory, which must not contain another run. None: the directory of the run to resume, or
            a new one under `outputs/`.

    Returns:
        The metrics of the test split (`test/...`), their differences to lead-k (`difference/...`) and the metrics of
        the best validation (`eval/...`). A run pruned by a search has only the last.

    Raises:
        UserError: the corpus, model or hardware is missing, or does not match the configuration.
        Failed: training failed for another reason; the traceback is in the directory's `train.log`.
    """
    check_environment()
    if config.hub.push:
        check_login()
    quiet_libraries(libraries_for(config.corpus))
    where = Path(directory or config.resume or new_directory())
    with recorded(where, config) as run, closing(Uploads(run)) as uploads:
        if run.done and flaw(run.checkpoints / run.record["test"]["checkpoint"]) is None:
            run.screen.note(f"this run is finished; to continue training: bisum resume={run.shown} trainer.epochs=N")
            return _finish(config, run, uploads, report(run))
        device = build_device(config, run)
        if device.is_xla and config.trainer.gradient_checkpointing:
            raise UserError("trainer.gradient_checkpointing: not supported by torch on XLA devices; set it to false")
        checkpoint = CheckpointStore(run.checkpoints).newest_intact(run.screen.warn) if run.resumed else None
        with restored_environment():
            config.trainer.check(device)
            if config.trainer.compile:
                check_compiler(device)
        checked = check_before_corpus(config, run, device, checkpoint)
        report_before_download(config, run, device, checked)
        uploads.start()
        check_metrics(config, run)
        corpus = build_batch(config, run, build_corpus(config, run))
        loaded = build_model(config, run, device, checkpoint, corpus)
        splits = build_splits(config, run, corpus, loaded)
        shapes = build_shapes(config, run, loaded, splits)
        balance = build_balance(config, run, splits["train"])
        profile = find_profile(run, [corpus.splits["validation"], corpus.splits["test"]])
        evaluator = Evaluator(config, run.screen.progress, run.interrupts.check, device.precision, shapes, profile)
        scoring = Scoring(config, run, evaluator, loaded, splits)
        scoring.score_baseline()
        session = start_session(config, run, loaded, splits["train"], device, shapes, balance, scoring, checkpoint)
        session.prune = pruning(config, scoring.best_metric, run.screen.warn)
        session.publish = uploads.add
        report_before_training(config, run, session, checked, splits, shapes)
        run.begin_training(session.step, session.progress.evaluated_step)
        scoring.record_baseline()
        # Evaluations and checkpoints during training also have their own stages.
        stage = run.stage("training", session.total_steps, session.step)
        if config.trainer.compile:
            run.screen.print(describe_compilation(shapes is not None))
            if config.debug.profile:
                run.screen.warn("debug.profile: the recorded steps may include compilation (trainer.compile)")
        # A compiled step would call back into Python for the cheap noise.
        kernels = (
            compiled(session.model, shapes is not None)
            if config.trainer.compile
            else cheap_dropout(device.torch_device)
        )
        with stage as session.bar, restored_environment(), closing(session.watcher), kernels:
            config.trainer.fit(session)
        run.update(rows_per_second=training_speed(run.metrics()))
        if session.pruned is not None:
            return run.prune(session.pruned)
        scores = scoring.test(session)
        report_used(run, device)
        return _finish(config, run, uploads, scores)


def _finish(config: Config, run: Run, uploads: Uploads, scores: dict[str, float]) -> dict[str, float]:
    """Share the tested checkpoint and return the scores."""
    uploads.start()
    uploads.finish(run.checkpoints / run.record["test"]["checkpoint"])
    merge_best(config, run)
    return scores


def run(config: Config, directory: Path) -> float:
    """Train or resume, and return the best value of the metric that selects the checkpoint."""
    metrics = train(config, directory)
    return metrics[read_record(directory)["best_metric"]]
