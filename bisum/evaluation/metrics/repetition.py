"""Repetition within a summary, the usual sign of a looping model."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.score import share


@dataclass(frozen=True, kw_only=True)
class Repetition(Metric):
    """Repeated trigrams (seq-rep-3 of Welleck et al. 2020, arxiv.org/abs/1908.04319) and sentences."""

    scores = {
        "repeated_trigrams": share("summary trigrams that repeat an earlier one", higher_is_better=False),
        "repeated_sentences": share("summary sentences that repeat an earlier one", higher_is_better=False),
    }

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return each row's values: 0 for a summary without trigrams, or without sentences."""
        from bisum.evaluation.sentences import split_sentences
        from bisum.evaluation.tokens import unicode_tokens

        trigrams, sentences = [], []
        for prediction, language in zip(summaries.predictions, summaries.languages, strict=True):
            tokens = unicode_tokens(prediction, language, stemmed=False)
            trigrams.append(_repeated(list(zip(tokens, tokens[1:], tokens[2:], strict=False))))
            split = (unicode_tokens(text, language, stemmed=False) for text in split_sentences(prediction, language))
            sentences.append(_repeated([tuple(words) for words in split if words]))
        return {"repeated_trigrams": trigrams, "repeated_sentences": sentences}


def _repeated(items: Sequence[Hashable]) -> float:
    """Return the share of items that occur earlier in the sequence."""
    return 1 - len(set(items)) / len(items) if items else 0.0
