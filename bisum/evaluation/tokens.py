"""Tokens of the ROUGE profile `unicode`: words of any script, or characters where no spaces separate words."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import regex

from bisum.corpus.languages import LanguageTools, tools_for

if TYPE_CHECKING:
    from nltk.stem.snowball import SnowballStemmer

WORD = regex.compile(r"[\p{L}\p{N}](?:\p{Join_Control}*[\p{L}\p{N}\p{M}])*")
"""A run of letters and digits. Join controls occur within words in Persian and in Indic scripts."""
CHARACTER = regex.compile(r"[\p{Latin}\p{Nd}][\p{Latin}\p{Nd}\p{M}]*|[\p{L}\p{N}]\p{M}*")
"""A letter with its marks, or a run of Latin letters and digits."""

_INVISIBLE = regex.compile(r"[\u00AD\u2060\uFEFF]")
"""Soft hyphens and zero-width marks, which only control line breaks."""
_TONE_AFTER_VOWEL = regex.compile(r"([\u0E4D\u0ECD])([\u0E48-\u0E4B\u0EC8-\u0ECB])")
"""The first half of a Thai or Lao vowel (sara am) with a tone mark, which are typed in either order."""
_GREEK_ACCENTS = regex.compile(r"[\u0300\u0301\u0313\u0314\u0342\u0345]")


def unicode_tokens(text: str, language: str, *, stemmed: bool = True) -> list[str]:
    """Return the tokens of the profile `unicode`: folded, and stemmed if Snowball supports the language.

    A token is a run of letters, digits and their combining marks. In a language written without spaces, it is a letter
    with its marks, or a run of Latin letters and digits. Snowball removes acute accents from Spanish stems (`está` and
    `esta` match) but keeps ñ, and it removes umlauts from German stems.
    """
    tools = tools_for(language)
    tokens: list[str] = (WORD if tools.spaced else CHARACTER).findall(_fold(text, tools))
    return [snowball_stem(token, tools.stemmer) for token in tokens] if stemmed and tools.stemmer else tokens


def _fold(text: str, tools: LanguageTools) -> str:
    """Return a text without variants of characters: capitals, widths, ligatures, superscripts.

    The form is Unicode's NFKC, which the tokenizers of T5, mT5 and mBART-50 also apply: they write `m2`, never `m²`.
    Case is folded by the rules of the language.
    """
    if text.isascii() and not tools.dotless_i:  # most English texts
        return text.lower()
    text = _TONE_AFTER_VOWEL.sub(r"\2\1", unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)))
    if tools.dotless_i:
        text = text.replace("İ", "i").replace("I", "ı")
    text = text.casefold()
    if tools.language == "el":  # capitals are written without accents
        text = _GREEK_ACCENTS.sub("", unicodedata.normalize("NFD", text))
    return unicodedata.normalize("NFKC", text)


@lru_cache(maxsize=2**17)
def snowball_stem(token: str, stemmer: str) -> str:
    """Return a token's stem by nltk's Snowball stemmer of that name."""
    # nltk's Arabic stemmer keeps state between words, so each word gets a new one.
    stem: str = (_new_stemmer(stemmer) if stemmer == "arabic" else _stemmer(stemmer)).stem(token)
    return stem


@cache
def _stemmer(name: str) -> SnowballStemmer:
    return _new_stemmer(name)


def _new_stemmer(name: str) -> SnowballStemmer:
    from nltk.stem.snowball import SnowballStemmer  # imports all of nltk, and scipy if installed

    return SnowballStemmer(name)
