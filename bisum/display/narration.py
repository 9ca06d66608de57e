"""Messages of a running command: the model, incoming scores and the location of the results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisum.display.evaluation_tables import difference_table, prefix_of, verdicts
from bisum.display.metric_tables import metric_differences_table, metrics_table
from bisum.display.scored_rows import ScoredRows
from bisum.display.screen import Kind, Screen
from bisum.display.tables import scores_table
from bisum.errors import one_line

if TYPE_CHECKING:
    from bisum.hardware.devices import Device
    from bisum.models.loading import LoadedModel

Predictions = Sequence[Mapping[str, Any]]
"""Rows with the keys language, document, reference and prediction."""


def narrate_model(
    screen: Screen, loaded: LoadedModel, device: Device, *, model: str, weights: str, trainer: str | None, seed: int
) -> None:
    """Show which model runs on which device; `trainer` is the backend, or None without training."""
    prompt = "".join(
        f", {name} {text!r}" for name, text in (("prefix", loaded.prefix), ("suffix", loaded.suffix)) if text
    )
    place = f"{trainer} on {device.name}" if trainer else device.name
    line = (
        f"{model} ({weights}), {loaded.parameters / 1e6:.1f} M parameters{prompt}; "
        f"{place}, {device.precision}, seed {seed}"
    )
    screen.print(line)
    if trainer and loaded.trained_parameters < loaded.parameters:
        trained, total = f"{loaded.trained_parameters / 1e6:.2g} M", f"{loaded.parameters / 1e6:.1f} M"
        what = loaded.adapter or "frozen weights"
        screen.print(f"{what}: {trained} of {total} parameters trained")


def narrate_continuation(screen: Screen, checkpoint: Path | None) -> None:
    """Show where a resumed run continues."""
    screen.note(
        f"continuing from {checkpoint.name}" if checkpoint else "no intact checkpoint; starting from the beginning"
    )


def narrate_profile(screen: Screen, profile: str, lost: Sequence[str]) -> None:
    """Report a ROUGE profile other than the default; `lost` are the languages that require it."""
    if profile != "rouge":
        screen.note(
            f"ROUGE uses the {profile} profile: rouge_score keeps only a-z and 0-9, which drops most letters of "
            f"{', '.join(lost)}"
        )


def narrate_baseline(
    screen: Screen, metrics: Mapping[str, float], lead: int, split: str, rows: ScoredRows, *, kind: Kind = "detail"
) -> None:
    """Show the scores of lead-k on a split."""
    name = f"lead-{lead} baseline" if kind == "detail" else f"lead-{lead}"
    screen.print(
        f"\n{name} on {split}, {rows.total:,} rows (ROUGE F1 with 95% intervals)",
        scores_table(metrics, "baseline", rows),
        *metrics_table(metrics, "baseline", rows),
        kind=kind,
    )


def narrate_validation(
    screen: Screen,
    metrics: Mapping[str, float],
    epoch: float,
    train_loss: float,
    baseline: tuple[str, Mapping[str, float]],
    rows: ScoredRows,
    best_metric: str,
) -> None:
    """Show the scores of an evaluation; `train_loss` is the mean since the previous one."""
    screen.print("")
    shown = [f"ROUGE-L {metrics[rows.name('eval', 'rougeL')]:.1f}"]
    if best_metric not in ("eval/loss", rows.name("eval", "rougeL")):
        shown.append(f"{best_metric.removeprefix('eval/')} {metrics.get(best_metric, math.nan):.4g}")
    losses = f"loss {train_loss:.3f} (validation {metrics['eval/loss']:.3f})"
    screen.print(f"epoch {epoch:.4g}: {losses}, {', '.join(shown)}", kind="news")
    screen.print(scores_table(metrics, "eval", rows, baseline), *metrics_table(metrics, "eval", rows, baseline))


def narrate_summaries(screen: Screen, predictions: Predictions, count: int, languages: Sequence[str]) -> None:
    """Show the start of document, reference and summary for the first `count` rows of each language."""
    for language in languages:
        for row in [row for row in predictions if row["language"] == language][:count]:
            for label, key in ((language, "document"), ("reference", "reference"), ("summary", "prediction")):
                screen.clip(f"  {label:<9} {one_line(row[key]) or '(empty)'}")


def narrate_test(
    screen: Screen, scores: Mapping[str, Any], lead: int, rows: ScoredRows, best_metric: str, run: Path
) -> None:
    """Show the scores of the test split and the location of the results."""
    screen.print(
        f"\ntest, {rows.total:,} rows, best checkpoint by {best_metric}: {scores['checkpoint']}",
        scores_table(scores, "test", rows, (f"lead-{lead}", scores)),
        *metrics_table(scores, "test", rows, (f"lead-{lead}", scores)),
        kind="result",
    )
    screen.lines(
        "",
        f"run directory  {run}",
        f"best model     {run / 'checkpoints' / scores['checkpoint']}",
        f"summaries      {run / 'predictions'}",
    )
    screen.lines("next           bisum --help lists the other commands", kind="detail")


def narrate_evaluation(
    screen: Screen,
    scores: Mapping[str, Any],
    baseline: Mapping[str, float],
    rows: ScoredRows,
    run: Path,
    *,
    in_sweep: bool,
) -> None:
    """Show an evaluation's scores, their difference from the baseline and the location of the results."""
    split, lead = scores["split"], scores["baseline"]
    screen.print(
        f"\n{split}, {rows.total:,} rows: {scores['model']} (ROUGE F1 with 95% intervals)",
        scores_table(scores, prefix_of(split), rows, (lead, baseline)),
        *metrics_table(scores, prefix_of(split), rows, (lead, baseline)),
        f"\ndifference from {lead} on the same rows, with 95% paired-bootstrap intervals",
        difference_table(scores, rows),
        *metric_differences_table(scores, rows),
        kind="result",
    )
    screen.lines("", *verdicts(scores, rows, lead), kind="news" if in_sweep else "result")
    screen.lines("", f"run directory  {run}", f"summaries      {run / 'predictions'}")
