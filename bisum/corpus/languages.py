"""Language-specific tools for sentence splitting, stemming and word counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

UNSPACED_LANGUAGES = ("ja", "zh")
"""Languages written without spaces, whose lengths are counted in characters."""


class LanguageTools(NamedTuple):
    """The tools for text in one language."""

    punkt: str
    """Name of the sentence model in the `punkt` package: a trained one if it exists, else the rules of the script."""
    stemmer: str | None = None
    """Name of the Snowball stemmer in nltk; None: words are compared unchanged."""
    spaced: bool = True
    """Whether spaces separate words; if not, text is compared by characters."""


FALLBACK = LanguageTools("english")
"""Tools for unlisted languages: English Punkt, which ends sentences at `.`, `?` and `!`, and no stemmer."""

LANGUAGES = {
    "ar": LanguageTools("urdu", "arabic"),  # punkt's rules for the Arabic script
    "bn": LanguageTools("bengali"),
    "cs": LanguageTools("czech"),
    "da": LanguageTools("danish", "danish"),
    "de": LanguageTools("german", "german"),
    "el": LanguageTools("greek"),
    "en": LanguageTools("english", "english"),
    "es": LanguageTools("spanish", "spanish"),
    "et": LanguageTools("estonian"),
    "fa": LanguageTools("urdu"),
    "fi": LanguageTools("finnish", "finnish"),
    "fr": LanguageTools("french", "french"),
    "hi": LanguageTools("hindi"),
    "hu": LanguageTools("english", "hungarian"),  # no model of its own
    "it": LanguageTools("italian", "italian"),
    "ja": LanguageTools("japanese", spaced=False),
    "km": LanguageTools("english", spaced=False),
    "ko": LanguageTools("korean"),
    "lo": LanguageTools("english", spaced=False),
    "ml": LanguageTools("malayalam"),
    "mr": LanguageTools("marathi"),
    "my": LanguageTools("english", spaced=False),
    "nb": LanguageTools("norwegian", "norwegian"),
    "nl": LanguageTools("dutch", "dutch"),
    "nn": LanguageTools("norwegian", "norwegian"),
    "no": LanguageTools("norwegian", "norwegian"),
    "pl": LanguageTools("polish"),
    "pt": LanguageTools("portuguese", "portuguese"),
    "ro": LanguageTools("english", "romanian"),  # no model of its own
    "ru": LanguageTools("russian", "russian"),
    "sl": LanguageTools("slovene"),
    "sv": LanguageTools("swedish", "swedish"),
    "ta": LanguageTools("tamil"),
    "th": LanguageTools("thai", spaced=False),
    "tr": LanguageTools("turkish"),
    "ur": LanguageTools("urdu"),
    "zh": LanguageTools("chinese", spaced=False),
}
"""Tools by ISO 639-1 code."""


def tools_for(language: str) -> LanguageTools:
    """Return the tools for a language code; `pt_BR` and `zh-Hans` count as `pt` and `zh`."""
    return LANGUAGES.get(language.replace("_", "-").partition("-")[0].lower(), FALLBACK)


def count_words(rows: pa.Table, column: str) -> pa.ChunkedArray:
    """Return the number of words in each row's text as int32, separated by white space as in `str.split()`.

    In `UNSPACED_LANGUAGES`, count the characters (code points) that are not white space instead.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    # Trim, since the split yields empty strings at leading and trailing white space.
    text = pc.utf8_trim_whitespace(rows[column])
    words = pc.utf8_split_whitespace(text)
    unspaced = pc.is_in(rows["language"], value_set=pa.array(UNSPACED_LANGUAGES))
    spaced_length = pc.if_else(pc.equal(text, ""), 0, pc.list_value_length(words))
    return pc.if_else(unspaced, pc.utf8_length(pc.binary_join(words, "")), spaced_length)
