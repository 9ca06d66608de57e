"""`bisum baseline`: score lead-k, the first k sentences of each document, on a split."""

from __future__ import annotations

from pathlib import Path

from bisum.commands.rows import build_corpus, check_metrics, find_profile
from bisum.config.schema import BaselineConfig, Config
from bisum.display.narration import narrate_baseline
from bisum.display.scored_rows import ScoredRows
from bisum.evaluation.evaluator import Evaluator
from bisum.interfaces.score import score_name
from bisum.records.run import recorded


def run(config: Config, directory: Path) -> float:
    """Score lead-k on the configured split, record it in a run directory and return its ROUGE-L."""
    assert isinstance(config, BaselineConfig)
    lead, split = config.evaluation.lead, config.split
    with recorded(directory, config) as record:
        check_metrics(config, record)
        rows = build_corpus(config, record, [split]).splits[split]
        profile = find_profile(record, [rows])
        with record.stage("baseline"):
            evaluator = Evaluator(config, record.screen.progress, record.interrupts.check, profile=profile)
            scored = evaluator.baseline(rows)
        record.write_evaluation(f"{split}-lead{lead}", scored)
        record.log(scored.metrics, 0, 0.0, scored.histograms)
        record.update(baseline={"system": f"lead-{lead}", "split": split, **scored.metrics})
        narrate_baseline(record.screen, scored.metrics, lead, split, ScoredRows.of(record.record, split), kind="result")
        record.screen.lines("", f"run directory  {record.shown}")
    return scored.metrics[score_name("baseline", "rougeL", profile=profile)]
