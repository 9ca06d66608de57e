"""The lead-k baseline: the first sentences of a document as its summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.languages import tools_for
from bisum.evaluation.sentences import split_sentences

_CHARACTERS_PER_SENTENCE = 5000
"""Characters read for each requested sentence; nearly always enough."""
_LONG_DOCUMENT = {True: 360, False: 200}
"""Characters from which a document surely has several sentences, by whether spaces separate words."""
_MAX_UNSPLIT = 0.5
"""Share of long documents without a sentence boundary above which a language is reported."""


def lead(document: str, language: str, k: int) -> str:
    """Return the first `k` sentences of `document`, or all if it has fewer, joined by newlines."""
    start = document[: _CHARACTERS_PER_SENTENCE * k]
    if len(start) < len(document):  # the last sentence may be cut off
        sentences = split_sentences(start, language)[:-1]
        if len(sentences) >= k:
            return "\n".join(sentences[:k])
    return "\n".join(split_sentences(document, language)[:k])


def lead_all(documents: Iterable[str], languages: Iterable[str], k: int) -> list[str]:
    """Return the lead-`k` summary of each document, split by the rules of its language.

    Raises ValueError if the numbers of documents and languages differ.
    """
    return [lead(document, language, k) for document, language in zip(documents, languages, strict=True)]


def unsplit_languages(rows: pa.Table, leads: Sequence[str]) -> dict[str, str]:
    """Return the languages where lead-k is uninformative, each with the reason: too few sentence boundaries."""
    languages = rows["language"].to_numpy()
    lengths = pc.utf8_length(rows["document"]).to_numpy()
    is_unsplit = np.array([text == row.strip() for text, row in zip(leads, rows["document"].to_pylist(), strict=True)])
    reasons = {}
    for language in dict.fromkeys(languages):
        tools = tools_for(language)
        long = (languages == language) & (lengths >= _LONG_DOCUMENT[tools.spaced])
        if not tools.ends_sentences:
            reasons[language] = "the language does not mark the ends of sentences"
        elif long.any() and is_unsplit[long].mean() > _MAX_UNSPLIT:
            unsplit, total = is_unsplit[long].sum(), long.sum()
            reasons[language] = f"{unsplit:,} of {total:,} long documents contain no sentence boundary"
    return reasons
