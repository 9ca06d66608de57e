"""The one place where rows are scored: models and baselines, in training and after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bisum.config import Config
from bisum.corpus.tokenization import EncodedSplit
from bisum.evaluation.baseline import lead_all
from bisum.evaluation.generation import generate
from bisum.evaluation.metrics import Metric
from bisum.evaluation.rouge import aggregate, score_rows
from bisum.models.loading import LoadedModel
from bisum.records.run import Run


@dataclass(frozen=True)
class Evaluation:
    """The scores of one system on one split."""

    metrics: dict[str, float]
    """By the names of `metrics.jsonl`."""
    predictions: list[dict[str, Any]]
    """Every scored row: id, language, document, reference, prediction."""


class Evaluator:
    """Scores every row of a split exactly once, with the same code for every system."""

    def __init__(self, config: Config, run: Run) -> None:
        self.config = config
        self.run = run
        self.further: list[Metric] = config.evaluation.further_metrics()

    def model(self, loaded: LoadedModel, split: EncodedSplit, prefix: str) -> Evaluation:
        """Generate and score; beside ROUGE, `loss` (mean over reference tokens) and `gen_len` (mean generated tokens).

        Raises:
            Interrupted: a signal came; nothing is recorded.
        """
        summaries = [""] * len(split)
        loss, tokens, lengths = 0.0, 0, 0
        options = self.config.evaluation
        with self.run.screen.progress(f"generating {prefix}", len(split)) as bar:
            done = 0
            for batch in generate(loaded, split, self.config.generation, options.batch_size):
                for row, summary in zip(batch.rows, batch.summaries, strict=True):
                    summaries[row] = summary
                loss, tokens, lengths = (
                    loss + batch.loss_sum,
                    tokens + batch.loss_tokens,
                    lengths + sum(batch.lengths),
                )
                done += len(batch.rows)
                bar.advance(done)
                self.run.interrupts.check()
        own = {f"{prefix}/loss": loss / tokens, f"{prefix}/gen_len": lengths / len(split)}
        scored = self.score(split.rows, summaries, prefix)
        return Evaluation(own | scored.metrics, scored.predictions)

    def baseline(self, rows: pa.Table, prefix: str = "baseline") -> Evaluation:
        """Score lead-k, the first k sentences of each document."""
        documents, languages = rows["document"].to_pylist(), rows["language"].to_pylist()
        return self.score(rows, lead_all(documents, languages, self.config.evaluation.lead), prefix)

    def score(self, rows: pa.Table, summaries: list[str], prefix: str) -> Evaluation:
        """Score one summary for each row of a table."""
        references, languages = rows["summary"].to_pylist(), rows["language"].to_pylist()
        samples, seed = self.config.evaluation.bootstrap_samples, self.config.seed
        metrics = aggregate(score_rows(summaries, references, languages), prefix, samples, seed, self.config.languages)
        for metric in self.further:
            metrics |= {
                f"{prefix}/{name}": value for name, value in metric.compute(summaries, references, languages).items()
            }
        return Evaluation(metrics, list(_predictions(rows, summaries)))


def _predictions(rows: pa.Table, summaries: list[str]) -> Iterator[dict[str, Any]]:
    for row, summary in zip(rows.to_pylist(), summaries, strict=True):
        yield {
            "id": row["id"],
            "language": row["language"],
            "document": row["document"],
            "reference": row["summary"],
            "prediction": summary,
        }
