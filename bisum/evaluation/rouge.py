"""ROUGE of lists of summaries, per row and aggregated, in two profiles.

`rouge` matches rouge_score with its Porter stemmer, the scale of published English results. Its tokenizer keeps only
a-z and 0-9, so `año` equals `a o` and Japanese has no tokens. `unicode` compares words of any script, stemmed in their
own language, or characters in languages written without spaces.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rouge_score_rs import RougeScorer

from bisum.evaluation.bootstrap import interval, paired
from bisum.evaluation.sentences import split_sentences
from bisum.evaluation.tokens import unicode_tokens
from bisum.runs.metrics import score_name

PROFILES = ("rouge", "unicode")
TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
MEASURES = ("precision", "recall", "fmeasure")
F = MEASURES.index("fmeasure")


@dataclass(frozen=True)
class RowScores:
    """ROUGE of every row, from which means, intervals and comparisons of systems are computed."""

    values: NDArray[np.float64]
    """(rows, profiles, types, measures) in the order of PROFILES, TYPES and MEASURES, in [0, 1]."""
    languages: tuple[str, ...]
    """Language code of each row."""


def score_rows(predictions: Sequence[str], references: Sequence[str], languages: Sequence[str]) -> RowScores:
    """Score each prediction against its reference, both split into sentences by the rules of the row's language.

    The profile `rouge` equals rouge_score bit for bit; a Rust port computes it.
    Raises ValueError if the three differ in length.
    """
    rows = list(zip(predictions, references, languages, strict=True))
    predicted = [_one_sentence_a_line(prediction, language) for prediction, _, language in rows]
    expected = [_one_sentence_a_line(reference, language) for _, reference, language in rows]
    codes: dict[str, str] = {}
    profiles = [
        _score(predicted, expected, use_stemmer=True),
        _score(_encode(predicted, languages, codes), _encode(expected, languages, codes), use_stemmer=False),
    ]
    return RowScores(np.stack(profiles, axis=1), tuple(languages))


def aggregate(scores: RowScores, prefix: str, samples: int, seed: int, languages: Iterable[str]) -> dict[str, float]:
    """Return metrics by their names in the logs: `eval/rouge1`, `eval/es/rouge1`, `eval/unicode/es/rougeL_low`, ...

    Each is 100 x a mean over rows. F has the type's own name; `_precision` and `_recall` follow, and `_low` and `_high`
    bound the 95 % bootstrap interval of F from `samples` resamples. The metrics are over all rows, and over those of
    each of `languages` that has rows. `prefix` is `eval`, `test` or `baseline`.
    """
    metrics: dict[str, float] = {}
    for language, rows in _parts(scores.languages, languages):
        values = scores.values[rows]
        low, high = interval(values[..., F], samples, seed)
        for name, p, t in _names(prefix, language):
            # One mean per column sums in the order of np.mean over a list of scores, so both are equal bit for bit.
            precision, recall, fmeasure = (float(100 * column.mean()) for column in values[:, p, t].T)
            metrics |= {name: fmeasure, f"{name}_precision": precision, f"{name}_recall": recall}
            metrics |= {f"{name}_low": float(100 * low[p, t]), f"{name}_high": float(100 * high[p, t])}
    return metrics


def difference(
    ours: RowScores, theirs: RowScores, samples: int, seed: int, languages: Iterable[str]
) -> dict[str, float]:
    """Return by how much a system beats another over the same rows: `difference/rouge1`, `difference/es/rougeL`, ...

    Each is 100 x the mean over rows of the difference in F. `_low` and `_high` bound the 95 % interval of that mean,
    from a paired bootstrap of `samples` resamples; `_better` is the percentage of resamples in which `ours` is above
    `theirs`. The metrics are over all rows, and over those of each of `languages` that has rows.
    """
    if ours.languages != theirs.languages:
        raise ValueError("the two systems were not scored over the same rows")
    metrics: dict[str, float] = {}
    for language, rows in _parts(ours.languages, languages):
        pair = ours.values[rows][..., F], theirs.values[rows][..., F]
        low, high, better = paired(*pair, samples, seed)
        mean = (pair[0] - pair[1]).mean(axis=0)
        for name, p, t in _names("difference", language):
            ends = {"": mean, "_low": low, "_high": high, "_better": better}
            metrics |= {f"{name}{end}": float(100 * values[p, t]) for end, values in ends.items()}
    return metrics


def _parts(row_languages: Sequence[str], languages: Iterable[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield "" and a mask of all rows, then each language that has rows, and their mask."""
    of = np.array(row_languages, dtype=object)
    for language, rows in [("", np.ones(len(of), bool)), *((language, of == language) for language in languages)]:
        if rows.any():
            yield language, rows


def _names(prefix: str, language: str) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each metric, with the indices of its profile and its type."""
    for p, profile in enumerate(PROFILES):
        for t, rouge_type in enumerate(TYPES):
            yield score_name(prefix, rouge_type, language=language, profile=profile), p, t


def _score(predictions: list[str], references: list[str], use_stemmer: bool) -> NDArray[np.float64]:
    """Return the scores, shape (rows, types, measures)."""
    scorer = RougeScorer(TYPES, use_stemmer)
    batch = scorer.score_batch(references, predictions)
    rows = [[score[rouge_type] for rouge_type in TYPES] for score in batch]
    return np.array(rows, dtype=np.float64).reshape(-1, len(TYPES), len(MEASURES))


def _one_sentence_a_line(text: str, language: str) -> str:
    return "\n".join(split_sentences(text, language))


def _encode(texts: list[str], languages: Sequence[str], codes: dict[str, str]) -> list[str]:
    """Replace each token by a unique number, which rouge_score's tokenizer keeps, since ROUGE only tests equality."""

    def encode(line: str, language: str) -> str:
        return " ".join(codes.setdefault(token, str(len(codes))) for token in unicode_tokens(line, language))

    return [
        "\n".join(encode(line, language) for line in text.split("\n"))
        for text, language in zip(texts, languages, strict=True)
    ]
