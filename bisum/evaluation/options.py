"""How summaries are generated and scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from bisum.evaluation.metrics import EvaluateMetric, Metric


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Decoding, the same in training-time and final evaluation; the length limit is `model.max_summary_tokens`."""

    num_beams: Annotated[int, Ge(1)]
    """Beams kept in beam search; 1 is greedy decoding."""
    length_penalty: float
    """Exponent on the length that divides a beam's log-probability: above 0 favours longer summaries."""
    early_stopping: bool | Literal["never"]
    """When beam search ends: with `num_beams` finished summaries (true), or when a better one is unlikely (false) or
    impossible (never)."""
    no_repeat_ngram_size: Annotated[int, Ge(0)]
    """Length in tokens of n-grams that may not occur twice in a summary; 0 allows all."""
    min_tokens: Annotated[int, Ge(0)]
    """Fewest tokens before the end of the summary may be generated."""


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Scoring of a split, and the baseline beside it."""

    batch_size: Annotated[int, Ge(1)]
    """Rows generated at once; changes speed and memory only."""
    lead: Annotated[int, Ge(1)]
    """Sentences from the start of a document that make the lead-k baseline."""
    bootstrap_samples: Annotated[int, Ge(100)]
    """Resamplings of the rows behind each 95 % interval; more make the bounds steadier."""
    shown_summaries: Annotated[int, Ge(0)]
    """Validation rows of each language printed with their summaries after every evaluation."""
    metrics: list[str | Metric]
    """Further metrics: names or local paths for the `evaluate` library, or `_target_` nodes of one's own."""

    def __post_init__(self) -> None:
        self.further_metrics()

    def further_metrics(self) -> list[Metric]:
        """Return the further metrics as objects; raises UserError for a script that is not allowed."""
        return [EvaluateMetric(name=metric) if isinstance(metric, str) else metric for metric in self.metrics]
