"""chrF: the F-score of character n-grams, which needs no tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le

from bisum.interfaces.defaults import from_conf
from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.score import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Chrf(Metric):
    """Corpus-level chrF (Popović 2015, aclanthology.org/W15-3049), as sacrebleu computes it.

    N-gram counts are summed over rows before precision and recall are computed, so chrF is not a mean over rows.
    """

    char_order: Annotated[int, Ge(1), Le(20)] = from_conf("metric/chrf", "char_order")
    """Maximum length of character n-grams."""
    word_order: Annotated[int, Ge(0), Le(10)] = from_conf("metric/chrf", "word_order")
    """Maximum length of word n-grams; 2 gives chrF++ (Popović 2017, aclanthology.org/W17-4770)."""
    beta: Annotated[int, Ge(1), Le(10)] = from_conf("metric/chrf", "beta")
    """Weight of recall relative to precision."""

    @property
    def scores(self) -> Mapping[str, Score]:
        """chrF, from 0 to 100."""
        name, of = ("chrF++", "character and word") if self.word_order else ("chrF", "character")
        score = Score(
            f"{name}: F{self.beta} of {of} n-grams",
            higher_is_better=True,
            lowest=0,
            highest=100,
            aggregate=self.score,
        )
        return {"chrf": score}

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return each row's counts: n-grams in the summary, in the reference and in both, for each length."""
        chrf = self._sacrebleu()
        rows = zip(summaries.predictions, summaries.references, strict=True)
        return {
            "chrf": [
                chrf._compute_segment_statistics(prediction, chrf._extract_reference_info([reference]))
                for prediction, reference in rows
            ]
        }

    def score(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return chrF of summed counts: (..., 3 x n-gram lengths) -> (...); sacrebleu's formula, vectorized."""
        import numpy as np

        predicted, expected, common = (counts[..., at::3] for at in range(3))  # shape (..., n-gram lengths)
        both = (predicted > 0) & (expected > 0)  # sacrebleu's effective order
        lengths = np.maximum(both.sum(axis=-1), 1)
        precision, recall = (
            np.divide(common, of, out=np.zeros_like(common), where=both).sum(axis=-1) / lengths
            for of in (predicted, expected)
        )
        weighted, weight = precision * recall, self.beta**2
        total = weight * precision + recall
        found: NDArray[np.float64] = np.divide(weighted, total, out=np.zeros_like(total), where=total > 0)
        return 100 * (1 + weight) * found

    def _sacrebleu(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(char_order=self.char_order, word_order=self.word_order, beta=self.beta)
