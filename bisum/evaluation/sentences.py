"""Sentence splitting with bundled models and the end marks of every script, identical on every machine."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import punkt
import regex

from bisum.corpus.languages import tools_for

# Unicode counts the Burmese comma (U+104A) as an end mark, but not the Tibetan shad. Two Ethiopic word separators often
# replace the full stop. Punkt decides on ! and ?, which some names contain.
_SHAD = r"[\u0F0D-\u0F11\u0F14]"
_WIDE_STOP = r"(?:(?<!\p{Nd})\uFF0E|\uFF0E(?!\p{Nd}))"
_MARK = rf"(?:[\p{{Sentence_Break=STerm}}--[!?\u104A]]|{_SHAD}(?:\s*{_SHAD})*+|\u1361\u1361|{_WIDE_STOP})"
_MORE = r"[\p{Sentence_Break=STerm}.…]*+"
_CLOSERS = r"""(?:[\p{Close_Punctuation}\p{Final_Punctuation}]|["'](?=["']*(?:\s|$)))*+"""
_CONTINUES = r"\s*[\p{Sentence_Break=SContinue}--[\-\u2013\u2014]]"
_END = regex.compile(rf"{_MARK}{_MORE}{_CLOSERS}(?!{_CONTINUES})", regex.V1)
"""A mark that always ends a sentence, with the closing quotation marks and brackets after it (rules SB8a to SB11 of
https://www.unicode.org/reports/tr29)."""

# Pronouns, prepositions and conjunctions of Russian, Ukrainian and Bulgarian, which are lower-case in mid-sentence.
_STARTERS = (
    "Он|Она|Оно|Они|Это|Этот|Эта|Эти|Его|Её|Ее|Их|Мы|Вы|Ты|Там|Тогда|Затем|Потом|После|Но|Однако|Также|Как|Когда|Если|"
    "При|Для|По|На|За|До|От|Из|Во|Не|Так|Теперь|Сейчас|Позже|Сегодня|"
    "Він|Вона|Воно|Вони|Це|Цей|Ця|Ці|Його|Її|Їх|Ми|Ви|Тоді|Потім|Після|Але|Також|Однак|Зараз|Коли|Якщо|Під|Від|"
    "Той|Тя|То|Те|Това|Тази|Тези|Тогава|След|Обаче|Сега|Когато|Ако"
)
_YEAR_END = regex.compile(rf"(?<=\d(?:-[хый]+)?\s?)(?:гг?|рр?|вв?)\.(?=\s+(?:{_STARTERS}|[АИВСОУ])\s)")
"""A full stop after `2020 г.` that ends the sentence; Punkt takes a single letter for an initial."""

_ARMENIAN_COLON = regex.compile(r":(?=\s)")
"""A colon, which often replaces the Armenian full stop."""


def split_sentences(text: str, language: str) -> list[str]:
    """Return the sentences of `text`, stripped and without empty ones; see `sentence_spans`."""
    return [text[start:end] for start, end in sentence_spans(text, language)]


def sentence_spans(text: str, language: str) -> list[tuple[int, int]]:
    """Return the start and end of each sentence of `text`; only white space is between them.

    A sentence ends at every mark that ends sentences in any script, such as the danda or the ideographic full stop.
    Elsewhere, the trained Punkt model of the language decides (Kiss & Strunk 2006, https://aclanthology.org/J06-4003),
    or the `punkt` package's rules for its script. As in nltk, a line break alone does not end a sentence, so a sentence
    may span lines.
    """
    tools = tools_for(language)
    split = _tokenizer(tools.punkt).span_tokenize
    sentences: list[tuple[int, int]] = []
    for offset, piece in _pieces(text, tools.language):
        for first, last in split(piece):
            part = piece[first:last].strip()
            start = offset + piece.index(part, first)
            end = start + len(part)
            if sentences and _END.fullmatch(part):  # such as a danda after `?`
                sentences[-1] = sentences[-1][0], end
            elif part:
                sentences.append((start, end))
    return sentences


def _pieces(text: str, language: str | None) -> list[tuple[int, str]]:
    """Split a text where a sentence certainly ends; return the offset of each piece and the piece."""
    if text.isascii() and language != "hy":  # most English texts
        return [(0, text)]
    patterns = [_END, _YEAR_END, *([_ARMENIAN_COLON] if language == "hy" else [])]
    ends = sorted(match.end() for pattern in patterns for match in pattern.finditer(text))
    return [(start, text[start:end]) for start, end in pairwise([0, *ends, len(text)])]


@cache
def _tokenizer(model: str) -> punkt.PunktSentenceTokenizer:
    full = punkt.tokenizer_for(model)
    # Drop the marks of `_END`: Punkt would split after them even where a comma continues the sentence.
    ends = tuple(mark for mark in full.rules.sent_end_chars if not _END.match(mark))
    return punkt.PunktSentenceTokenizer(full.params, rules=replace(full.rules, sent_end_chars=ends))
