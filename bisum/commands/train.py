"""`bisum train`: fine-tune, evaluate, keep the best checkpoint, score the test split once at the end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from bisum.commands.start import load_model, load_rows, quiet_libraries
from bisum.config import Config
from bisum.corpus.tokenization import EncodedSplit, encode
from bisum.errors import UserError
from bisum.evaluation.evaluator import Evaluation, Evaluator
from bisum.hardware.devices import find_device
from bisum.hardware.shapes import choose_shapes
from bisum.hardware.xla import compilations
from bisum.models.loading import LoadedModel
from bisum.records.checkpoint_files import damage, epoch_name
from bisum.records.report import cut_line, scores_table, show_summaries
from bisum.records.run import Run, recorded
from bisum.training.checkpoints import CheckpointStore, load_weights
from bisum.training.language_balance import balance_languages
from bisum.training.supervisor import Supervisor
from bisum.training.task import build_task


def train(config: Config, directory: str | Path | None = None) -> dict[str, float]:
    """Fine-tune and score a model as `config` says, and record it all in a run directory.

    Args:
        config: a checked configuration, as `bisum.compose` returns it. If it names a run to `resume`, that run is
            continued from its newest sound checkpoint.
        directory: the run directory; it may not hold another run. None: that of the run to resume, or a new one under
            `outputs/`.

    Returns:
        The test split's metrics (`test/...`), with those of the best validation (`eval/...`).

    Raises:
        UserError: the corpus, the model or the hardware is not there or not as the configuration needs it.
        Failed: training failed for another reason; the traceback is in the directory's `train.log`.
    """
    quiet_libraries()
    with recorded(Path(directory or config.resume or _new_directory()), config) as run:
        if run.done and damage(run.directory / "checkpoints" / run.record["test"]["checkpoint"]) is None:
            run.screen.note(f"this run is finished; to train on: bisum resume={run.shown} trainer.epochs=N")
            return _show_test(run)
        device = find_device(config.hardware)
        if device.is_xla and config.trainer.gradient_checkpointing:
            raise UserError("trainer.gradient_checkpointing: torch cannot recompute on an XLA device; set it to false")
        corpus = load_rows(config, run)
        checkpoint = (
            CheckpointStore(run.directory / "checkpoints").newest_sound(run.screen.warn) if run.resumed else None
        )
        loaded = load_model(config, run, device, checkpoint)
        with run.stage("tokenization"):
            splits = encode(corpus, loaded, Path(config.cache_dir).expanduser(), run.screen.progress)
        run.screen.print(cut_line(splits, (loaded.max_document_tokens, loaded.max_summary_tokens)))

        shapes = choose_shapes(splits.values(), loaded, config.hardware.length_buckets)
        if shapes is not None:
            run.screen.print(f"padded to {shapes}")
        temperature = config.corpus.language_temperature
        balance = balance_languages(splits["train"].rows["language"], temperature, config.seed)
        if balance is not None:
            run.screen.print(f"languages: {balance}")

        evaluator = Evaluator(config, run, device.precision, shapes)
        with run.stage("baseline"):
            baseline = evaluator.baseline(splits["validation"].rows)
        _check_best_metric(config, baseline.metrics)
        validate = _validation(evaluator, loaded, splits["validation"], baseline.metrics)
        task = build_task(config, run, loaded, splits["train"], device, shapes, balance, validate, checkpoint)
        supervisor = task.supervisor
        run.accept(supervisor.progress.step, supervisor.progress.evaluated_step)
        _record_baseline(evaluator, baseline)
        run.interrupts.deferred = True
        # The evaluations and checkpoints in it have stages of their own besides.
        with run.stage("training", supervisor.total_steps, supervisor.progress.step) as supervisor.bar:
            config.trainer.fit(task)

        return _score_test(evaluator, loaded, splits["test"], supervisor)


def run(config: Config, directory: Path) -> float:
    """Train, or resume, for the command line; return the best value of the metric that chooses the checkpoint."""
    metrics = train(config, directory)
    return metrics[config.trainer.best_metric]


def _new_directory() -> str:
    return f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S}-{secrets.token_hex(2)}"


def _check_best_metric(config: Config, baseline: Mapping[str, float]) -> None:
    """Refuse a `best_metric` that no evaluation of these rows will give, before any training."""
    given = {"eval/loss", "eval/gen_len", *(name.replace("baseline/", "eval/", 1) for name in baseline)}
    if config.trainer.best_metric not in given:
        known = ", ".join(
            sorted(name for name in given if not name.endswith(("_low", "_high", "_precision", "_recall")))
        )
        raise UserError(f"trainer.best_metric: no '{config.trainer.best_metric}' for these rows (valid: {known})")


def _record_baseline(evaluator: Evaluator, baseline: Evaluation) -> None:
    """Record the validation rows' lead-k scores and show them."""
    run, config = evaluator.run, evaluator.config
    lead = config.evaluation.lead
    if not any("baseline/rouge1" in line for line in run.metrics()):
        run.write_predictions(f"validation-lead{lead}", baseline.predictions)
        run.log(baseline.metrics, 0, 0.0, baseline.histograms)
    run.update(baseline={"system": f"lead-{lead}", "split": "validation", **baseline.metrics})
    table = scores_table(baseline.metrics, "baseline", config.languages)
    run.screen.print(
        f"\nlead-{lead} on validation, {len(baseline.predictions)} rows: the baseline (ROUGE F and its 95 % interval)",
        table,
    )


def _validation(
    evaluator: Evaluator, loaded: LoadedModel, split: EncodedSplit, baseline: Mapping[str, float]
) -> Callable[[int, float], Mapping[str, float]]:
    """Return the function that scores the validation split at a step, records and shows it."""
    run, config = evaluator.run, evaluator.config

    def validate(step: int, epoch: float) -> Mapping[str, float]:
        with run.stage("evaluation"):
            scored = evaluator.model(loaded, split, "eval")
        if loaded.model.device.type == "xla":
            run.screen.log(f"step {step}  {compilations()} XLA programs compiled so far")
        run.write_predictions(f"validation-{epoch_name(epoch)}", scored.predictions)
        run.log(scored.metrics, step, epoch, scored.histograms)
        run.update(last={"step": step, "epoch": epoch, **scored.metrics})
        beside = (f"lead-{config.evaluation.lead}", baseline)
        loss, rouge = scored.metrics["eval/loss"], scored.metrics["eval/rougeL"]
        run.screen.print("")
        run.screen.print(
            f"epoch {epoch:.4g}: loss {run.last_loss:.3f}, on validation {loss:.3f}, ROUGE-L {rouge:.1f}", kind="news"
        )
        run.screen.print(scores_table(scored.metrics, "eval", config.languages, beside))
        show_summaries(run, scored.predictions, config.evaluation.shown_summaries, config.languages)
        return scored.metrics

    return validate


def _score_test(
    evaluator: Evaluator, loaded: LoadedModel, split: EncodedSplit, supervisor: Supervisor
) -> dict[str, float]:
    """Score the test split once with the best checkpoint, record it and say what to do next."""
    run, config, progress = evaluator.run, evaluator.config, supervisor.progress
    if progress.best_checkpoint is None:
        raise UserError(f"trainer: {type(config.trainer).__name__}.fit ended before any evaluation")
    best = supervisor.checkpoints.directory / progress.best_checkpoint
    if problem := damage(best):
        raise UserError(f"'{best}', the best checkpoint, is damaged ({problem}); put it back from a copy and resume")
    load_weights(loaded.model, best)
    with run.stage("test"):
        baseline = evaluator.baseline(split.rows)
        scored = evaluator.model(loaded, split, "test")
    run.write_predictions(f"test-lead{config.evaluation.lead}", baseline.predictions)
    run.write_predictions(f"test-{progress.best_checkpoint}", scored.predictions)
    run.log(scored.metrics, progress.step, supervisor.epoch, scored.histograms)
    run.update(test={"checkpoint": progress.best_checkpoint, **scored.metrics, **baseline.metrics})
    return _show_test(run)


def _show_test(run: Run) -> dict[str, float]:
    """Show the recorded scores of the test split and what to do next; return them with the best validation's."""
    config, scores = run.config, run.record["test"]
    rows = sum(counts["kept"] for counts in run.record["data"]["rows"]["test"].values())
    beside = (f"lead-{config.evaluation.lead}", scores)
    run.screen.print(
        f"\ntest, {rows:,} rows, with the best checkpoint by {config.trainer.best_metric}, {scores['checkpoint']}",
        scores_table(scores, "test", config.languages, beside),
        kind="result",
    )
    run.screen.lines(
        "",
        f"run directory  {run.shown}",
        f"best model     {run.shown / 'checkpoints' / scores['checkpoint']}",
        f"summaries      {run.shown / 'predictions'}",
    )
    run.screen.lines("next           bisum --help shows what else there is", kind="detail")
    return {**run.record["best"], **{name: value for name, value in scores.items() if name.startswith("test/")}}
