"""Row counts behind scores, and the mark for intervals from too few rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rich.table import Table

from bisum.evaluation.bootstrap import MIN_ROWS
from bisum.interfaces.score import MODEL_SCORES, ROUGE_SCORES, score_name

_FEW_ROWS_CAPTION = f"* fewer than {MIN_ROWS} rows: the interval is not reliable"


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """The rows behind scores, and the ROUGE profile to show."""

    counts: Mapping[str, int]
    """Number of rows of each language."""
    profile: str
    """`rouge` or `unicode`; see `bisum.evaluation.rouge`."""
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Descriptions of the chosen metrics' scores, by name; see `bisum.interfaces.score.Score.described`."""

    @classmethod
    def of(cls, record: Mapping[str, Any], split: str) -> Self:
        """Return the recorded rows of a split."""
        counts = {language: count["kept"] for language, count in record["data"]["rows"][split].items()}
        return cls(counts=counts, profile=record["profile"], metrics=chosen_scores(record))

    @property
    def total(self) -> int:
        """Number of rows in all languages."""
        return sum(self.counts.values())

    def count(self, language: str) -> int:
        """Return the number of rows of a language; of all if it is ""."""
        return self.counts[language] if language else self.total

    def name(self, prefix: str, name: str, language: str = "") -> str:
        """Return the name of a score in the shown profile."""
        return score_name(prefix, name, language=language, profile=self.profile)

    def interval(self, metrics: Mapping[str, float], name: str, language: str = "") -> str:
        """Format a score's interval, marked if it has too few rows."""
        return f"{metrics[f'{name}_low']:.1f}-{metrics[f'{name}_high']:.1f}{few_rows_mark(self.count(language))}"


def chosen_scores(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the recorded descriptions of the chosen metrics' scores, by name."""
    scores = record.get("scores", {})
    return {name: score for name, score in scores.items() if name not in ROUGE_SCORES and name not in MODEL_SCORES}


def few_rows_mark(rows: int) -> str:
    """Return the mark for an interval from too few rows; "" if there are enough."""
    return "*" if rows < MIN_ROWS else ""


def explain_mark(table: Table, counts: Iterable[int]) -> None:
    """Explain the mark for too few rows below a table, if any of `counts` needs it."""
    if any(map(few_rows_mark, counts)):
        table.caption, table.caption_justify = _FEW_ROWS_CAPTION, "left"
