"""Properties of languages: ends of sentences, separation and stemming of words, and capital letters.

One table serves filters, lengths, passages, sentence splitting and ROUGE. The `langcodes` library parses the codes
and finds the usual script of a language (likely subtags of the Unicode CLDR).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import langcodes
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class LanguageTools:
    """The tools for text in one language."""

    language: str | None
    """Shortest ISO 639 code, such as `es` for `spa_Latn`; None: the language is unknown."""
    punkt: str
    """Name of the sentence model in the `punkt` package: a trained one if any, otherwise the rules of the script."""
    stemmer: str | None
    """Name of the Snowball stemmer in nltk; None: words are compared unchanged."""
    spaced: bool
    """Whether spaces separate words. If not, lengths and comparisons of texts use characters."""
    ends_sentences: bool
    """Whether a punctuation mark ends a sentence, as in nearly all languages."""
    dotless_i: bool
    """Whether I is the capital of ı, and İ that of i."""


_TRAINED = {
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "fi": "finnish",
    "fr": "french",
    "it": "italian",
    "ml": "malayalam",
    "nb": "norwegian",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ru": "russian",
    "sl": "slovene",
    "sv": "swedish",
    "tr": "turkish",
}
"""Trained Punkt model of each language that has one."""

_STEMMERS = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nb": "norwegian",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
}
"""Snowball stemmer of each language that has one in nltk."""

_INDIC_SCRIPTS = ("Beng", "Deva", "Gujr", "Guru", "Knda", "Mlym", "Orya", "Sinh", "Taml", "Telu")
_SCRIPT_RULES = {
    "Arab": "urdu",
    "Grek": "greek",
    "Hani": "chinese",
    "Hans": "chinese",
    "Hant": "chinese",
    "Jpan": "japanese",
    "Kore": "korean",
    "Thai": "thai",
    **dict.fromkeys(_INDIC_SCRIPTS, "hindi"),
}
"""Punkt's rules for each script that has some; the others use the English model, which splits at `.`, `?` and `!`."""

_UNSPACED_SCRIPTS = frozenset(
    (
        "Bopo",
        "Hanb",
        "Hani",
        "Hans",
        "Hant",
        "Hira",
        "Hrkt",
        "Jpan",
        "Kana",
        "Khmr",
        "Lana",
        "Laoo",
        "Mymr",
        "Talu",
        "Tavt",
        "Thai",
        "Tibt",
        "Yiii",
    )
)
_SCRIPTS_WITHOUT_ENDS = frozenset(("Lana", "Laoo", "Tavt", "Thai"))
_DOTLESS_I = frozenset(("az", "crh", "gag", "kk", "tr", "tt"))
"""Languages whose Latin script has ı and İ."""

_SAME_LANGUAGE = 5
"""Greatest CLDR distance between two codes of a language; greater ones are between languages that share speakers."""

_NO_LANGUAGE = frozenset(("mis", "mul", "und", "zxx"))
"""Codes for uncoded, several, undetermined and no languages."""


@cache
def tools_for(code: str) -> LanguageTools:
    """Return the tools for a language code in any common form, or for the name of a language.

    `es`, `spa`, `es-MX`, `es_XX` and `spa_Latn` are one language. A member of a macrolanguage without tools of
    its own, such as Egyptian Arabic, gets those of the macrolanguage. A script subtag counts: `ja-Latn` has spaces
    between words. Text in an unknown language is treated as English without a stemmer.
    """
    tag = _parsed(code) or _named(code)
    if tag is None:
        return LanguageTools(
            language=None, punkt="english", stemmer=None, spaced=True, ends_sentences=True, dotless_i=False
        )
    names = [tag.language or "", macrolanguage_of(tag.language or "")]
    script = _script(tag)
    return LanguageTools(
        language=tag.language,
        punkt=_first(_TRAINED, names) or _SCRIPT_RULES.get(script, "english"),
        stemmer=_first(_STEMMERS, names),
        spaced=script not in _UNSPACED_SCRIPTS,
        ends_sentences=script not in _SCRIPTS_WITHOUT_ENDS,
        dotless_i=script == "Latn" and tag.language in _DOTLESS_I,
    )


def macrolanguage_of(language: str) -> str:
    """Return the code of a language's macrolanguage, such as `ar` for `arz`; "" if it has none."""
    from langcodes.data_dicts import MACROLANGUAGES

    return str(MACROLANGUAGES.get(language, ""))


def nearest_language(code: str, codes: Sequence[str]) -> str | None:
    """Return the one of `codes` that means the same language as `code`, in any common form; None if there is none.

    If several do, it is the nearest by the Unicode CLDR: for `zh`, `zho_Hans` rather than `zho_Hant`; for `no`,
    `nob_Latn` rather than `nno_Latn`. If none does, it is one in another script, or of a member of a macrolanguage.
    """
    import langcodes

    if code in codes:
        return code
    tag = _parsed(code) or _named(code)
    if tag is None:
        return None
    nearest, _ = langcodes.closest_match(tag, list(codes), max_distance=_SAME_LANGUAGE)
    if nearest in codes:
        return nearest
    for language_of in (lambda own: own, macrolanguage_of):
        for other in codes:
            if language_of(tools_for(other).language or "") == tag.language:
                return other
    return None


def is_same_language(code: str, other: str) -> bool:
    """Return whether two codes in any common form mean the same language in the same script."""
    import langcodes

    tag, other_tag = (_parsed(name) or _named(name) for name in (code, other))
    if tag is None or other_tag is None:
        return code == other
    return langcodes.tag_distance(tag, other_tag) <= _SAME_LANGUAGE


def describe_codes(codes: Iterable[str]) -> Iterator[str]:
    """Yield a line for each unknown code and for each name used as a code."""
    for code in codes:
        if _parsed(code) is not None:
            continue
        if (tag := _named(code)) is not None:
            yield f"languages: '{code}' is read as {tag}"
        else:
            known = f"languages: '{code}' is not a known language"
            yield f"{known}; its text is treated as English, with spaces between words"


def count_words(rows: pa.Table, column: str) -> pa.ChunkedArray:
    """Return the number of words in each row's text as int32, separated by white space as in `str.split()`.

    In a language written without spaces between words, count the characters (code points) that are not white space.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from bisum.corpus.disk import batches_of

    codes = pc.unique(rows["language"].drop_null()).to_pylist()
    without_blanks = pa.array([code for code in codes if not tools_for(code).spaced], pa.string())

    def count(batch: pa.RecordBatch) -> pa.Array:
        # Trim, since the split yields empty strings at leading and trailing white space.
        text = pc.utf8_trim_whitespace(batch[column])
        words = pc.utf8_split_whitespace(text)
        unspaced = pc.is_in(batch["language"], value_set=without_blanks)
        spaced_length = pc.if_else(pc.equal(text, ""), 0, pc.list_value_length(words))
        return pc.if_else(unspaced, pc.utf8_length(pc.binary_join(words, "")), spaced_length).cast(pa.int32())

    return pa.chunked_array([count(batch) for batch in batches_of(rows.select([column, "language"]))], pa.int32())


def _parsed(code: str) -> langcodes.Language | None:
    """Return a code as a BCP 47 tag in its standard form; None if it is not the code of one language."""
    import langcodes

    try:
        tag = langcodes.Language.get(langcodes.standardize_tag(code, macro=True))
    except (ValueError, LookupError):
        return None
    language = tag.language or "und"
    is_private = language.startswith("x-") or (len(language) == len("qaa") and "qaa" <= language <= "qtz")
    return None if is_private or language in _NO_LANGUAGE or not tag.is_valid() else tag


def _named(name: str) -> langcodes.Language | None:
    """Return the tag of a language's name in any language, such as `Chinese` or `chinese_simplified`."""
    import langcodes

    if len(name.strip()) <= len("eng"):  # more likely a mistyped code
        return None
    try:
        return _parsed(str(langcodes.find(name.replace("_", " "))))
    except LookupError:
        return None


def _script(tag: langcodes.Language) -> str:
    """Return the script stated by a tag, or the usual one of its language or, failing that, its macrolanguage."""
    import langcodes
    from langcodes.data_dicts import LIKELY_SUBTAGS

    macrolanguage = macrolanguage_of(tag.language or "")
    is_listed = tag.script is not None or tag.language in LIKELY_SUBTAGS or not macrolanguage
    return (tag if is_listed else langcodes.Language.get(macrolanguage)).maximize().script or "Latn"


def _first(table: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((table[name] for name in names if name in table), None)
