"""How much of a summary is copied from its document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.score import Score, share

_LENGTHS = (1, 2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Extractiveness(Metric):
    """Extractive fragments (Grusky et al. 2018, aclanthology.org/N18-1065) and new n-grams (Narayan et al. 2018).

    Texts are compared by the unstemmed tokens of the ROUGE profile `unicode`: words without case and punctuation, or
    characters in languages written without spaces.
    """

    scores = {
        "coverage": share("summary words in passages copied from the document", higher_is_better=None),
        "density": Score("mean length of the copied passage around a summary word", higher_is_better=None, lowest=0),
        "compression": Score("document words per summary word", higher_is_better=None, lowest=0),
        **{
            f"new_{n}grams": share(f"distinct summary {n}-grams absent from the document", higher_is_better=None)
            for n in _LENGTHS
        },
    }

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return each row's values: None for a summary without words."""
        from bisum.evaluation.tokens import unicode_tokens

        values: dict[str, list[float | None]] = {name: [] for name in self.scores}
        rows = zip(summaries.documents, summaries.predictions, summaries.languages, strict=True)
        for document, prediction, language in rows:
            source, summary = (unicode_tokens(text, language, stemmed=False) for text in (document, prediction))
            words = len(summary)
            lengths = list(fragments(source, summary)) if words else []
            values["coverage"].append(sum(lengths) / words if words else None)
            values["density"].append(sum(length**2 for length in lengths) / words if words else None)
            values["compression"].append(len(source) / words if words else None)
            for n in _LENGTHS:
                own = _ngrams(summary, n)
                values[f"new_{n}grams"].append(len(own - _ngrams(source, n)) / len(own) if own else None)
        return values


def fragments(document: Sequence[str], summary: Sequence[str]) -> Iterator[int]:
    """Yield the lengths in tokens of the fragments F(A, S), by the algorithm in figure 3 of the paper.

    From left to right, each is the longest prefix of the rest of the summary that occurs in the document. As in the
    paper, the search in the document resumes after a match, not within it.
    """
    places = defaultdict(list)
    for at, token in enumerate(document):
        places[token].append(at)
    start = 0
    while start < len(summary):
        longest = end = 0
        for at in places.get(summary[start], ()):
            if at < end:
                continue
            length = 1
            while (
                start + length < len(summary)
                and at + length < len(document)
                and summary[start + length] == document[at + length]
            ):
                length += 1
            longest, end = max(longest, length), at + length
        if longest:
            yield longest
        start += max(longest, 1)


def _ngrams(tokens: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return set(zip(*(tokens[start:] for start in range(n)), strict=False))
