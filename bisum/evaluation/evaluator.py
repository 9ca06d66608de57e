"""The scoring of models and baselines, in training and after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from bisum.batches.shapes import Shapes
from bisum.config.schema import Config
from bisum.corpus.corpus import scored_rows_fingerprint
from bisum.corpus.strings import by_id
from bisum.evaluation.baseline import lead_all, unsplit_languages
from bisum.evaluation.bootstrap import BOOTSTRAP_SEED
from bisum.evaluation.metric_values import measured
from bisum.evaluation.rouge import Rouge
from bisum.evaluation.row_scores import RowScores, aggregate, difference
from bisum.interfaces.metric import Metric, Summaries
from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.score import MODEL_SCORES, rouge_name, score_name

if TYPE_CHECKING:
    from bisum.batches.tokenization import EncodedSplit
    from bisum.models.loading import LoadedModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The scores of one system on one split."""

    scores: RowScores
    """Scores of every row in the order of ids, so that all evaluations of a split have the same order."""
    fingerprint: str
    """Hash of the scored rows; see `bisum.corpus.corpus.scored_rows_fingerprint`."""
    metrics: dict[str, float]
    """Metrics by their names in `metrics.jsonl`."""
    described: dict[str, dict[str, Any]]
    """What each score is, by name, as plain data; see `bisum.interfaces.score.Score.described`."""
    predictions: list[dict[str, Any]]
    """Every scored row, in the order of the split: id, language, category, document, reference, prediction."""
    histograms: dict[str, dict[str, list[float]]]
    """Histograms (`counts`, and `edges` of the bins) of ROUGE-L and of the lengths of a model's summaries in tokens."""
    seconds: dict[str, float]
    """Time that each metric took, by its name in the configuration."""


class Evaluator:
    """A scorer of every row of a split, exactly once and with the same code for every system."""

    def __init__(
        self,
        config: Config,
        progress: ShowProgress,
        check_interrupt: Callable[[], None],
        precision: str = "float32",
        shapes: Shapes | None = None,
        profile: str = "rouge",
    ) -> None:
        """Prepare to score as `config` says.

        Args:
            config: states the languages, and how to generate and score summaries.
            progress: shows the progress of generation.
            check_interrupt: called between batches; raises if a signal asked the run to end.
            precision: number format of the forward pass: float32, bf16 or fp16.
            shapes: the only shapes of batches; None: any shape.
            profile: the ROUGE profile that is shown and drawn.
        """
        self.config = config
        self.precision = precision
        self.shapes = shapes
        self.profile = profile
        self._unsplit: set[str] = set()
        self._wholes: set[str] = set()
        self._progress = progress
        self._check_interrupt = check_interrupt
        self._metrics: dict[str, Metric] = {"rouge": Rouge(), **config.metric}

    def model(self, loaded: LoadedModel, split: EncodedSplit, prefix: str) -> Evaluation:
        """Generate and score; add `loss` (mean over reference tokens) and `gen_len` (mean generated tokens) to ROUGE.

        Raises:
            Interrupted: a signal asked the run to end; nothing is recorded.
        """
        from bisum.evaluation.generation import generate

        summaries = [""] * len(split)
        loss, tokens = 0.0, 0
        lengths: list[int] = []
        at_limit = [False] * len(split)
        options = self.config.evaluation
        with self._progress(f"generating {prefix}", len(split)) as bar:
            done = 0
            batches = generate(loaded, split, self.config.generation, options.batch_size, self.precision, self.shapes)
            for batch in batches:
                for row, summary, is_at_limit in zip(batch.rows, batch.summaries, batch.at_limit, strict=True):
                    summaries[row], at_limit[row] = summary, is_at_limit
                loss, tokens = loss + batch.loss_sum, tokens + batch.loss_tokens
                lengths += batch.lengths
                done += len(batch.rows)
                bar.advance(done)
                self._check_interrupt()
        own = {f"{prefix}/loss": loss / tokens, f"{prefix}/gen_len": sum(lengths) / len(split)}
        scored = self.score(split.rows, summaries, prefix, at_limit)
        counted = _histogram(lengths, loaded.max_summary_tokens)
        histograms = {**scored.histograms, f"histograms/{prefix}/gen_len": counted}
        return replace(scored, metrics=own | scored.metrics, histograms=histograms)

    def baseline(self, rows: pa.Table) -> Evaluation:
        """Score lead-k, the first k sentences of each document."""
        documents, languages = rows["document"].to_pylist(), rows["language"].to_pylist()
        k = self.config.evaluation.lead
        leads = lead_all(documents, languages, k)
        for language, why in unsplit_languages(rows, leads).items():
            if language not in self._unsplit:
                logger.info("lead-%s is often the whole document in %s: %s", k, language, why)
                self._unsplit.add(language)
        return self.score(rows, leads, "baseline")

    def difference(self, system: Evaluation, baseline: Evaluation) -> dict[str, float]:
        """Return how a system differs from a baseline over the same rows, as `difference/...` metrics."""
        samples = self.config.evaluation.bootstrap_samples
        return difference(system.scores, baseline.scores, samples, BOOTSTRAP_SEED, self.config.languages)

    def score(
        self, rows: pa.Table, summaries: list[str], prefix: str, at_limit: Sequence[bool] | None = None
    ) -> Evaluation:
        """Score one summary for each row of a table; `at_limit` says which of a model's reached its token limit.

        Raises:
            UserError: a configured metric fails, or returns an invalid value.
        """
        order = by_id(rows).to_pylist()  # intervals must not depend on the rows' order
        ids, documents, references, languages = (
            tuple(rows[name].take(order).to_pylist()) for name in ("id", "document", "summary", "language")
        )
        texts = Summaries(
            ids=ids,
            documents=documents,
            predictions=tuple(summaries[row] for row in order),
            references=references,
            languages=languages,
            at_limit=None if at_limit is None else tuple(at_limit[row] for row in order),
        )
        scores, seconds = measured(self._metrics, texts, self._progress, self._check_interrupt)
        if wholes := scores.wholes.keys() - self._wholes:
            logger.info("no interval, since the metric gives one number for all rows: %s", ", ".join(sorted(wholes)))
            self._wholes |= wholes
        metrics = aggregate(
            scores, prefix, self.config.evaluation.bootstrap_samples, BOOTSTRAP_SEED, self.config.languages
        )
        name = score_name(prefix, "rougeL", profile=self.profile)
        rouge = _histogram(100 * scores.columns[rouge_name(self.profile, "rougeL")].values, 100)
        predictions = list(_predictions(rows, summaries))
        described = self._described(scores)
        histograms = {f"histograms/{name}": rouge}
        fingerprint = scored_rows_fingerprint(rows)
        return Evaluation(scores, fingerprint, metrics, described, predictions, histograms, seconds)

    def _described(self, scores: RowScores) -> dict[str, dict[str, Any]]:
        """Return what each score is: those that metrics state, in their order, and those found besides."""
        stated = dict(MODEL_SCORES)
        for metric in self._metrics.values():
            stated |= metric.scores
        found = {name: column.score for name, column in scores.columns.items()}
        found |= {name: whole.score for name, whole in scores.wholes.items()}
        described = {name: score.described() for name, score in {**stated, **found}.items()}
        for name, values in described.items():
            if (key := self.config.metric_of(name)) is not None:
                values["metric"] = key
        return described


def _histogram(values: ArrayLike, highest: int) -> dict[str, list[float]]:
    """Count values in at most 20 fixed bins over [0, highest], so that epochs can be compared."""
    counts, edges = np.histogram(values, bins=min(highest, 20), range=(0, highest))
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def _predictions(rows: pa.Table, summaries: list[str]) -> Iterator[dict[str, Any]]:
    for row, summary in zip(rows.to_pylist(), summaries, strict=True):
        yield {
            "id": row["id"],
            "language": row["language"],
            "category": row["category"],
            "document": row["document"],
            "reference": row["summary"],
            "prediction": summary,
        }
