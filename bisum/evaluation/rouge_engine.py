"""The ROUGE engine: the Rust port of rouge_score, or rouge_score itself where the port has no wheel.

Both return the same floats; `tests/benchmarks/metrics.py` measures their speed.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from bisum.interfaces.score import ROUGE_MEASURES, ROUGE_TYPES

IS_FAST = find_spec("rouge_score_rs") is not None
"""Whether the Rust port is installed."""


def score_pairs(
    references: Sequence[str], predictions: Sequence[str], *, use_stemmer: bool, fast: bool = IS_FAST
) -> NDArray[np.float64]:
    """Return ROUGE of texts with one sentence per line, in [0, 1], shape (rows, ROUGE_TYPES, ROUGE_MEASURES)."""
    if fast:
        import rouge_score_rs

        fast_scorer = rouge_score_rs.RougeScorer(ROUGE_TYPES, use_stemmer)
        scored = fast_scorer.score_batch(list(references), list(predictions))
    else:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(ROUGE_TYPES, use_stemmer=use_stemmer)
        scored = [scorer.score(*pair) for pair in zip(references, predictions, strict=True)]
    rows = [[score[rouge_type] for rouge_type in ROUGE_TYPES] for score in scored]
    return np.array(rows, dtype=np.float64).reshape(-1, len(ROUGE_TYPES), len(ROUGE_MEASURES))


def score_tokens(
    references: Sequence[str],
    predictions: Sequence[str],
    languages: Sequence[str],
    tokenize: Callable[[str, str], Iterable[str]],
) -> NDArray[np.float64]:
    """Return ROUGE over the tokens of `tokenize(line, language)`, in the shape of `score_pairs`.

    Each token becomes a unique number: rouge_score's tokenizer keeps numbers, and ROUGE only tests for equality.
    """
    codes: dict[str, str] = {}

    def encode(line: str, language: str) -> str:
        return " ".join(codes.setdefault(token, str(len(codes))) for token in tokenize(line, language))

    def encode_all(texts: Sequence[str]) -> list[str]:
        return [
            "\n".join(encode(line, language) for line in text.split("\n"))
            for text, language in zip(texts, languages, strict=True)
        ]

    return score_pairs(encode_all(references), encode_all(predictions), use_stemmer=False)
