"""Division of long documents into windows that a model can read: whole sentences, few windows, of similar length."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import regex

from bisum.errors import UserError, shown
from bisum.evaluation.sentences import sentence_spans
from bisum.interfaces.family import TextReader

_NO_LIMIT = 10**9
_PARTS_PER_WINDOW = 64
"""Least number of parts in a window of a divided sentence: few parts are fast, and many fill the windows."""
_ROUNDING = 1e-6

Span = tuple[int, int]
"""Start and end in a text, in characters."""


@dataclass(frozen=True)
class Windows:
    """The windows of a document; one within the limit is its own single window."""

    texts: Sequence[str]
    """Substrings of the document, in order; only white space is between them."""
    tokens: int
    """Length of the whole document in tokens, prompt included."""


def split_documents(reader: TextReader, documents: Sequence[str], languages: Sequence[str]) -> list[Windows]:
    """Divide each document that exceeds the reader's limit into windows within it, prompt included.

    A window consists of whole sentences. Only a sentence that exceeds the limit is divided, between words, and a word
    between characters. The windows of a document are few, and of similar length.

    Sentences are tokenized once, which estimates where to divide. The reader then measures the windows, since a
    sentence can have more or fewer tokens beside others; where a window exceeds the limit, its document is divided
    again with longer estimates.

    Raises:
        UserError: the limit leaves no room for a document, or the model does not know a language.
    """
    unlimited, limit = replace(reader, max_document_tokens=_NO_LIMIT), reader.max_document_tokens
    prompts = {language: _lengths(unlimited, [""], [language])[0] for language in dict.fromkeys(languages)}
    if (longest := max(prompts.values(), default=0)) >= limit:
        raise UserError(f"model.max_document_tokens: the prompt alone has {longest} tokens; raise the limit")
    lengths = _lengths(unlimited, documents, languages)
    rows = list(zip(documents, languages, lengths, strict=True))
    divisions = [
        _Division(text, language, length, prompts[language], limit) if length > limit else None
        for text, language, length in rows
    ]
    open_divisions = [division for division in divisions if division is not None]
    while open_divisions:
        _measure(unlimited, open_divisions)
        open_divisions = [division for division in open_divisions if division.exceeds_limit]
        parts = [part for division in open_divisions for part in division.refine()]
        _estimate(reader, parts)
        for division in open_divisions:
            division.pack()
    return [
        Windows([text] if division is None else division.texts, length)
        for (text, _, length), division in zip(rows, divisions, strict=True)
    ]


def pack(lengths: Sequence[float], room: float) -> list[Span]:
    """Divide pieces of these lengths, in order, into the fewest groups within `room`, and balance the groups.

    A group is a range of indices. A longer piece is a group of its own.
    """
    ends = [0.0, *accumulate(lengths)]
    count = len(lengths)
    furthest = [max(at + 1, bisect_right(ends, ends[at] + room + _ROUNDING) - 1) for at in range(count)]
    needed = [0] * (count + 1)
    for at in reversed(range(count)):
        needed[at] = 1 + needed[furthest[at]]
    groups, start = [], 0
    while start < count:
        mean = (ends[-1] - ends[start]) / needed[start]
        possible = [end for end in range(start + 1, furthest[start] + 1) if needed[end] == needed[start] - 1]
        end = min(possible, key=lambda end: abs(ends[end] - ends[start] - mean))
        groups.append((start, end))
        start = end
    return groups


@dataclass
class _Piece:
    """A part of a document that is not divided further."""

    start: int
    end: int
    tokens: float
    """Estimated length."""


@dataclass
class _Parts:
    """The parts of a piece that exceeds the limit by itself; their lengths are unknown."""

    texts: list[str]
    """The text of each part, with the white space before it."""
    pieces: list[_Piece]
    tokens: int
    """Length of the whole."""


class _Division:
    """A document in the process of its division, at first in one window."""

    def __init__(self, text: str, language: str, length: int, prompt: int, limit: int) -> None:
        self.language = language
        self._text, self._prompt, self._limit = text, prompt, limit
        filled = text.strip()
        start = text.index(filled)
        self._windows = [[_Piece(start, start + len(filled), 0.0)]]
        self._pieces: list[_Piece] = []
        self.measured = {text: length}
        """Length of each measured window, prompt included."""

    @property
    def texts(self) -> list[str]:
        """The texts of the windows."""
        return [self._text[window[0].start : window[-1].end] for window in self._windows]

    @property
    def exceeds_limit(self) -> bool:
        """Whether a window exceeds the limit."""
        return any(self.measured[text] > self._limit for text in self.texts)

    def refine(self) -> list[_Parts]:
        """Divide the pieces that exceed the limit, and correct the estimates in other windows that do."""
        divided = []
        self._pieces = []
        for window, text in zip(self._windows, self.texts, strict=True):
            tokens = self.measured[text] - self._prompt
            if self.measured[text] > self._limit and len(window) == 1:
                divided.append(self._divide(window[0], text, tokens))
                window = divided[-1].pieces
            elif self.measured[text] > self._limit:
                estimate = sum(piece.tokens for piece in window)
                for piece in window:
                    piece.tokens *= tokens / estimate
            self._pieces += window
        return divided

    def _divide(self, piece: _Piece, text: str, tokens: int) -> _Parts:
        size = len(text) * (self._limit - self._prompt) / tokens / _PARTS_PER_WINDOW
        finer = _divided(text, self.language, size)
        spans = next((spans for spans in finer if len(spans) > 1), None)
        if spans is None:
            raise UserError(
                f"model.max_document_tokens: {self._limit} tokens leave no room for {shown(text)} after a prompt of "
                f"{self._prompt}; raise the limit"
            )
        pieces = [_Piece(piece.start + start, piece.start + end, 0.0) for start, end in spans]
        ends = [0, *(end for _, end in spans)]
        return _Parts([text[start:end] for start, end in pairwise(ends)], pieces, tokens)

    def pack(self) -> None:
        """Group the pieces into windows by their estimated lengths."""
        groups = pack([piece.tokens for piece in self._pieces], self._limit - self._prompt)
        self._windows = [self._pieces[start:end] for start, end in groups]


def _divided(text: str, language: str, size: float) -> Iterator[list[Span]]:
    """Yield ever finer divisions of a text: sentences, words, letters with their marks, code points.

    Neighbours, except sentences, are joined up to `size` characters.
    """
    yield sentence_spans(text, language)
    yield _joined(re.finditer(r"\S+", text), size)
    yield _joined(regex.finditer(r"\X", text), size)
    yield [(at, at + 1) for at in range(len(text))]


def _joined(matches: Iterator[re.Match[str]], size: float) -> list[Span]:
    """Return the spans of matches, with neighbours joined up to `size` characters."""
    spans: list[Span] = []
    for match in matches:
        if spans and match.end() - spans[-1][0] <= size:
            spans[-1] = (spans[-1][0], match.end())
        else:
            spans.append(match.span())
    return spans


def _lengths(reader: TextReader, texts: Sequence[str], languages: Sequence[str]) -> list[int]:
    """Return the length of each text in tokens, prompt included."""
    if not texts:
        return []
    return [len(ids) for ids in reader.encode(texts, [""] * len(texts), languages)["input_ids"]]


def _measure(reader: TextReader, divisions: Sequence[_Division]) -> None:
    """Measure all new windows at once."""
    new = [(division, text) for division in divisions for text in division.texts if text not in division.measured]
    lengths = _lengths(reader, [text for _, text in new], [division.language for division, _ in new])
    for (division, text), length in zip(new, lengths, strict=True):
        division.measured[text] = length


def _estimate(reader: TextReader, parts: Sequence[_Parts]) -> None:
    """Estimate the length of each part, as its share of the whole."""
    texts = [text for part in parts for text in part.texts]
    if not texts:
        return
    ids = iter(reader.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"])
    for part in parts:
        weights = [max(1, len(next(ids))) for _ in part.texts]
        scale = part.tokens / sum(weights)
        for piece, weight in zip(part.pieces, weights, strict=True):
            piece.tokens = scale * weight
