"""The lead-k baseline: the first sentences of a document as its summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.languages import tools_for
from bisum.evaluation.sentences import split_sentences

_START = 5000
"""Characters per requested sentence. The first sentences of a document nearly always lie within them."""
_LONG = {True: 360, False: 200}
"""Fewest characters of a document that surely has several sentences, by whether spaces separate words."""
_MOST = 0.5
"""Share of the long documents above which one sentence each is not a coincidence."""


def lead(document: str, language: str, k: int) -> str:
    """Return the first `k` sentences of `document`, or all if it has fewer, joined by newlines."""
    start = document[: _START * k]
    if len(start) < len(document):  # the last sentence of the start may go on
        sentences = split_sentences(start, language)[:-1]
        if len(sentences) >= k:
            return "\n".join(sentences[:k])
    return "\n".join(split_sentences(document, language)[:k])


def lead_all(documents: Iterable[str], languages: Iterable[str], k: int) -> list[str]:
    """Return the lead-`k` summary of each document, split by the rules of its language."""
    return [lead(document, language, k) for document, language in zip(documents, languages, strict=True)]


def unsplit_languages(rows: pa.Table, leads: Sequence[str]) -> dict[str, str]:
    """Return why lead-k says little, for each language in which most long documents come out as one sentence."""
    languages = rows["language"].to_numpy()
    lengths = pc.utf8_length(rows["document"]).to_numpy()
    is_whole = np.array([text == row.strip() for text, row in zip(leads, rows["document"].to_pylist(), strict=True)])
    reasons = {}
    for language in dict.fromkeys(languages):
        tools = tools_for(language)
        long = (languages == language) & (lengths >= _LONG[tools.spaced])
        if not tools.ends_sentences:
            reasons[language] = "the language does not mark the ends of sentences"
        elif long.any() and is_whole[long].mean() > _MOST:
            whole, every = is_whole[long].sum(), long.sum()
            reasons[language] = f"{whole:,} of {every:,} long documents contain no sentence boundary"
    return reasons
