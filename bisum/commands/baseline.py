"""`bisum baseline`: score lead-k, the first k sentences of each document, on a split."""

from __future__ import annotations

from pathlib import Path

from bisum.commands.rows import build_corpus
from bisum.config.schema import BaselineConfig, Config
from bisum.display.tables import scores_table
from bisum.evaluation.evaluator import Evaluator
from bisum.records.run import recorded


def run(config: Config, directory: Path) -> float:
    """Score lead-k on the configured split, record it in a run directory and return its ROUGE-L."""
    assert isinstance(config, BaselineConfig)
    lead, split = config.evaluation.lead, config.split
    with recorded(directory, config) as record:
        rows = build_corpus(config, record, [split]).splits[split]
        with record.stage("baseline"):
            scored = Evaluator(config, record.screen.progress, record.interrupts.check).baseline(rows)
        record.write_predictions(f"{split}-lead{lead}", scored.predictions)
        record.log(scored.metrics, 0, 0.0, scored.histograms)
        record.update(baseline={"system": f"lead-{lead}", "split": split, **scored.metrics})
        record.screen.print(
            f"\nlead-{lead} on {split}, {len(rows)} rows",
            scores_table(scored.metrics, "baseline", config.languages),
            kind="result",
        )
        record.screen.lines("", f"run directory  {record.shown}")
    return scored.metrics["baseline/rougeL"]
