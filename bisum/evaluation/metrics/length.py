"""The length of summaries, and whether they are empty or cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.score import Score, share


@dataclass(frozen=True, kw_only=True)
class Length(Metric):
    """Lengths in words; in characters where no spaces separate words."""

    scores = {
        "words": Score("words per summary", higher_is_better=None, lowest=0),
        "length_ratio": Score("summary words per reference word", higher_is_better=None, lowest=0),
        "at_limit": replace(share("summaries cut off at the token limit", higher_is_better=False), generated_only=True),
        "empty": share("summaries without words", higher_is_better=False),
    }

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return each row's values; `at_limit` only for generated summaries."""
        from bisum.evaluation.tokens import unicode_tokens

        words, expected = (
            [len(unicode_tokens(*row, stemmed=False)) for row in zip(texts, summaries.languages, strict=True)]
            for texts in (summaries.predictions, summaries.references)
        )
        values: dict[str, Values] = {
            "words": [float(count) for count in words],
            "length_ratio": [own / other if other else None for own, other in zip(words, expected, strict=True)],
            "empty": [float(count == 0) for count in words],
        }
        if summaries.at_limit is not None:
            values["at_limit"] = [float(is_at_limit) for is_at_limit in summaries.at_limit]
        return values
