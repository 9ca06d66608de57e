"""`bisum evaluate`: score a trained model on a split, and compare it with lead-k."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from bisum.commands.models import (
    build_device,
    build_model,
    build_shapes,
    build_splits,
    build_windows,
    check_before_corpus,
)
from bisum.commands.rows import build_corpus, check_metrics, find_profile
from bisum.config.model_source import located
from bisum.config.schema import Config, EvaluateConfig
from bisum.display.evaluation_tables import prefix_of
from bisum.display.narration import narrate_evaluation, narrate_summaries
from bisum.display.quiet import libraries_for, quiet_libraries
from bisum.display.scored_rows import ScoredRows
from bisum.evaluation.evaluator import Evaluator
from bisum.interfaces.score import score_name
from bisum.models.loading import LoadedModel
from bisum.records.run import recorded


def run(config: Config, directory: Path) -> float:
    """Score the configured model on the configured split, record it in a run directory and return its ROUGE-L."""
    assert isinstance(config, EvaluateConfig)
    quiet_libraries(libraries_for(config.corpus))
    name, lead = config.split, config.evaluation.lead
    with recorded(directory, config) as record:
        device = build_device(config, record)
        check_before_corpus(config, record, device)
        check_metrics(config, record)
        corpus = build_corpus(config, record, [name])
        loaded = build_model(config, record, device)
        splits = build_splits(config, record, corpus, loaded, [name])
        windows = build_windows(config, record, loaded, name, splits[name])
        shapes = build_shapes(config, record, loaded, splits)
        rows = splits[name].rows
        profile = find_profile(record, [rows])
        progress, check = record.screen.progress, record.interrupts.check
        evaluator = Evaluator(config, progress, check, device.precision, shapes, profile)
        with record.stage("baseline"):
            baseline = evaluator.baseline(rows)
        began = time.perf_counter()
        with record.stage("evaluation"):
            scored = evaluator.model(loaded, splits[name], prefix_of(name), windows)
            if evaluator.engine != record.record["engine"]:  # it failed to start
                record.update(engine=evaluator.engine)
        speed = len(rows) / (time.perf_counter() - began - sum(scored.seconds.values()))
        difference = evaluator.difference(scored, baseline)

        model = _describe(config, loaded)
        record.write_evaluation(f"{name}-lead{lead}", baseline)
        record.write_evaluation(f"{name}-{model['name']}", scored)
        metrics = {**baseline.metrics, **scored.metrics, **difference}
        record.log(metrics, 0, 0.0, {**baseline.histograms, **scored.histograms})
        recorded_config = config.provenance.recorded.config
        evaluation = {
            "run": recorded_config["run"],
            "checkpoint": str(recorded_config["model"]["checkpoint"]),
            "model": model["line"],
            "split": name,
            "rows": len(rows),
            "predictions": f"{name}-{model['name']}",
            "baseline": f"lead-{lead}",
            **scored.metrics,
            **difference,
        }
        baseline_scores = {"system": f"lead-{lead}", "split": name, **baseline.metrics}
        record.update(baseline=baseline_scores, evaluation=evaluation, rows_per_second=speed)

        narrate_summaries(record.screen, scored.predictions, config.evaluation.shown_summaries, config.languages)
        in_sweep, counted = config.provenance.sweep is not None, ScoredRows.of(record.record, name)
        narrate_evaluation(record.screen, evaluation, baseline.metrics, counted, record.shown, in_sweep=in_sweep)
        if not math.isfinite(loss := scored.metrics[f"{prefix_of(name)}/loss"]):
            raise FloatingPointError(f"{prefix_of(name)}/loss is {loss}: the model's output is not finite")
    return scored.metrics[score_name(prefix_of(name), "rougeL", profile=profile)]


def _describe(config: EvaluateConfig, loaded: LoadedModel) -> dict[str, Any]:
    """Return the checkpoint's name, and a line that describes the model."""
    name = Path(located(str(config.model.checkpoint))).resolve().name
    return {"name": name, "line": f"{name}, {loaded.model.config.model_type}, {loaded.parameters / 1e6:.1f} M"}
