"""ROUGE of every row, in two profiles.

`rouge` matches rouge_score with its Porter stemmer, the scale of published English results. Its tokenizer keeps only
a-z and 0-9, so `año` equals `a o` and Japanese has no tokens. `unicode` compares words of any script, stemmed in their
own language, or characters in languages written without spaces.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bisum.evaluation.rouge_engine import IS_FAST, score_pairs, score_tokens
from bisum.evaluation.sentences import split_sentences
from bisum.evaluation.tokens import unicode_tokens
from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.score import ROUGE_MEASURES, ROUGE_PROFILES, ROUGE_SCORES, ROUGE_TYPES, rouge_name


@dataclass(frozen=True, kw_only=True)
class Rouge(Metric):
    """ROUGE-1, -2, -L and -Lsum (Lin 2004, aclanthology.org/W04-1013), part of every evaluation."""

    scores = ROUGE_SCORES

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:  # noqa: ARG002
        """Report if only the slow engine is installed."""
        if not IS_FAST:
            yield "rouge-score-rs is not installed; rouge_score computes the same ROUGE about 10 times slower"

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """See `Metric.compute`."""
        values = score_rows(summaries.predictions, summaries.references, summaries.languages)
        return {
            rouge_name(profile, rouge_type, measure): values[:, p, t, m].tolist()
            for p, profile in enumerate(ROUGE_PROFILES)
            for t, rouge_type in enumerate(ROUGE_TYPES)
            for m, measure in enumerate(ROUGE_MEASURES)
        }


def score_rows(predictions: Sequence[str], references: Sequence[str], languages: Sequence[str]) -> NDArray[np.float64]:
    """Score each prediction against its reference, both split into sentences by the rules of the row's language.

    The profile `rouge` equals rouge_score bit for bit. Raises ValueError if the arguments differ in length.

    Returns:
        Values in [0, 1], shape (rows, ROUGE_PROFILES, ROUGE_TYPES, ROUGE_MEASURES).
    """
    rows = list(zip(predictions, references, languages, strict=True))
    predicted = [_one_sentence_per_line(prediction, language) for prediction, _, language in rows]
    expected = [_one_sentence_per_line(reference, language) for _, reference, language in rows]
    profiles = [
        score_pairs(expected, predicted, use_stemmer=True),
        score_tokens(expected, predicted, languages, unicode_tokens),
    ]
    return np.stack(profiles, axis=1)


def _one_sentence_per_line(text: str, language: str) -> str:
    return "\n".join(split_sentences(text, language))
