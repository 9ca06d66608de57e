"""The lead-k baseline: the first sentences of a document as its summary."""

from collections.abc import Iterable

from bisum.evaluation.sentences import split_sentences


def lead(document: str, language: str, k: int) -> str:
    """Return the first `k` sentences of `document`, or all if it has fewer, joined by newlines."""
    return "\n".join(split_sentences(document, language)[:k])


def lead_all(documents: Iterable[str], languages: Iterable[str], k: int) -> list[str]:
    """Return the lead-`k` summary of each document, split by the rules of its language."""
    return [lead(document, language, k) for document, language in zip(documents, languages, strict=True)]
