"""Scoring of models and baselines, during and after training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from bisum.batches.shapes import Shapes
from bisum.config.schema import Config
from bisum.corpus.fingerprints import scored_rows_fingerprint
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
    from bisum.evaluation.settings import Summary
    from bisum.evaluation.windows import Windows
    from bisum.models.loading import LoadedModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The scores of one system on one split."""

    scores: RowScores
    """Scores of every row, sorted by id: all evaluations of a split share this order."""
    fingerprint: str
    """Hash of the scored rows; see `bisum.corpus.corpus.scored_rows_fingerprint`."""
    metrics: dict[str, float]
    """Metrics by their names in `metrics.jsonl`."""
    described: dict[str, dict[str, Any]]
    """Description of each score by name, as plain data; see `bisum.interfaces.score.Score.described`."""
    predictions: list[dict[str, Any]]
    """Every scored row, in the order of the split: id, language, category, document, reference, prediction."""
    histograms: dict[str, dict[str, list[float]]]
    """Histograms (`counts` and bin `edges`) of ROUGE-L, 0 to 100, and of a model's summary lengths in tokens."""
    seconds: dict[str, float]
    """Seconds that each metric took, by its name in the configuration."""


class Evaluator:
    """Scores every row of a split exactly once, with the same code for every system."""

    def __init__(
        self,
        config: Config,
        progress: ShowProgress,
        check_interrupt: Callable[[], None],
        precision: str = "float32",
        shapes: Shapes | None = None,
        profile: str = "rouge",
    ) -> None:
        """Prepare the scoring that `config` describes.

        Args:
            config: the languages, and the settings of generation and scoring.
            progress: shows the progress of generation.
            check_interrupt: called between batches; raises if a signal asked the run to end.
            precision: number format of the forward pass: float32, bf16 or fp16.
            shapes: the allowed batch shapes; None: any.
            profile: the ROUGE profile to show and plot.
        """
        self.config = config
        self.precision = precision
        self.shapes = shapes
        self.profile = profile
        self.engine = "transformers"
        """The library that generated the last summaries."""
        self._unsplit: set[str] = set()
        self._without_interval: set[str] = set()
        self._progress = progress
        self._check_interrupt = check_interrupt
        self._metrics: dict[str, Metric] = {"rouge": Rouge(), **config.metric}

    def model(
        self, loaded: LoadedModel, split: EncodedSplit, prefix: str, windows: Mapping[int, Windows] | None = None
    ) -> Evaluation:
        """Generate and score summaries; add `loss` (mean over reference tokens) and `gen_len` (mean generated tokens).

        `windows` are those of the long documents to summarize window by window, by row. The loss of their references
        is given the document cut at the limit, as of all others.

        Raises:
            Interrupted: a signal asked the run to end; nothing is recorded.
            UserError: see `score`.
        """
        summaries, loss = self._generate(loaded, split, f"generating {prefix}", windows or {})
        lengths = [summary.tokens for summary in summaries]
        own = {f"{prefix}/loss": loss, f"{prefix}/gen_len": sum(lengths) / len(split)}
        texts, at_limit = [summary.text for summary in summaries], [summary.at_limit for summary in summaries]
        scored = self.score(split.rows, texts, prefix, at_limit)
        lengths_histogram = _histogram(lengths, max(loaded.max_summary_tokens, *lengths))
        histograms = {**scored.histograms, f"histograms/{prefix}/gen_len": lengths_histogram}
        return replace(scored, metrics=own | scored.metrics, histograms=histograms)

    def _generate(
        self, loaded: LoadedModel, split: EncodedSplit, title: str, windows: Mapping[int, Windows]
    ) -> tuple[list[Summary], float]:
        """Return the summary of every row, and the loss."""
        from bisum.evaluation.engines import build_engine
        from bisum.evaluation.generation import generate, generate_texts, reference_losses
        from bisum.evaluation.long_documents import LongDocuments
        from bisum.evaluation.settings import Summary

        options, size = self.config.generation, self.config.evaluation.batch_size
        whole, long = [row for row in range(len(split)) if row not in windows], [*windows]
        summaries: dict[int, Summary] = {}
        loss, tokens, done = 0.0, 0, 0
        with self._progress(title, len(split)) as bar:
            engine = build_engine(loaded, options, self.precision, fixed_shapes=self.shapes is not None)
            self.engine = "transformers" if engine is None else "ctranslate2"
            for batch in generate(loaded, split, options, size, self.precision, self.shapes, only=whole, engine=engine):
                found = map(Summary, batch.summaries, batch.lengths, batch.at_limit)
                summaries.update(zip(batch.rows, found, strict=True))
                loss, tokens, done = loss + batch.loss_sum, tokens + batch.loss_tokens, done + len(batch.rows)
                bar.advance(done)
                self._check_interrupt()
            for rows, loss_sum, loss_tokens in reference_losses(loaded, split, long, size, self.precision):
                loss, tokens, done = loss + loss_sum, tokens + loss_tokens, done + rows
                bar.advance(done)
                self._check_interrupt()
        if long:
            writer = LongDocuments(
                reader=loaded,
                model=self.config.model,
                generate=partial(generate_texts, loaded, options, size, self.precision, engine),
                progress=self._progress,
                check_interrupt=self._check_interrupt,
            )
            languages = split.rows["language"].take(long).to_pylist()
            summaries.update(zip(long, writer.summarize([*windows.values()], languages), strict=True))
        return [summaries[row] for row in range(len(split))], loss / tokens

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
        """Return the differences between a system and a baseline over the same rows, as `difference/...` metrics."""
        samples = self.config.evaluation.bootstrap_samples
        return difference(system.scores, baseline.scores, samples, BOOTSTRAP_SEED, self.config.languages)

    def score(
        self, rows: pa.Table, summaries: list[str], prefix: str, at_limit: Sequence[bool] | None = None
    ) -> Evaluation:
        """Score one summary per row of a table; `at_limit` marks a model's summaries that reached the token limit.

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
        if new := scores.corpus_scores.keys() - self._without_interval:
            logger.info("no interval for %s: the metric returns one number for all rows", ", ".join(sorted(new)))
            self._without_interval |= new
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
        """Return the description of each score: those that the metrics declare, in their order, then any others."""
        declared = dict(MODEL_SCORES)
        for metric in self._metrics.values():
            declared |= metric.scores
        found = {name: column.score for name, column in scores.columns.items()}
        found |= {name: corpus_score.score for name, corpus_score in scores.corpus_scores.items()}
        described = {name: score.described() for name, score in {**declared, **found}.items()}
        for name, values in described.items():
            if (key := self.config.metric_of(name)) is not None:
                values["metric"] = key
        return described


def _histogram(values: ArrayLike, highest: int) -> dict[str, list[float]]:
    """Count values in at most 20 fixed bins over [0, highest], which are comparable across epochs."""
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
