"""`bisum baseline`: score lead-k, the first k sentences of each document, on a split."""

from __future__ import annotations

from pathlib import Path

from bisum.commands.start import load_rows
from bisum.config import BaselineConfig, Config
from bisum.evaluation.evaluator import Evaluator
from bisum.records.report import scores_table
from bisum.records.run import recorded


def run(config: Config, directory: Path) -> float:
    """Score lead-k on the configured split, record it in a run directory and return its ROUGE-L."""
    assert isinstance(config, BaselineConfig)
    lead = config.evaluation.lead
    with recorded(directory, config) as record:
        rows = load_rows(config, record, [config.split]).splits[config.split]
        with record.stage("baseline"):
            scored = Evaluator(config, record).baseline(rows)
        record.write_predictions(f"{config.split}-lead{lead}", scored.predictions)
        record.log(scored.metrics, 0, 0.0, scored.histograms)
        record.update(baseline={"system": f"lead-{lead}", "split": config.split, **scored.metrics})
        record.screen.print(
            f"\nlead-{lead} on {config.split}, {len(rows)} rows",
            scores_table(scored.metrics, "baseline", config.languages),
            kind="result",
        )
        record.screen.lines("", f"run directory  {record.shown}")
    return scored.metrics["baseline/rougeL"]
