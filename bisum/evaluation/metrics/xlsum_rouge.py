"""ROUGE on the scale of XL-Sum's published scores (Hasan et al. 2021, aclanthology.org/2021.findings-acl.413)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import regex

from bisum.corpus.languages import tools_for
from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.score import ROUGE_MEASURES, ROUGE_TYPES, Score

_REPORTED = ("rouge1", "rouge2", "rougeL")
_LONGEST_UNSTEMMED = 3
_SEGMENTED = frozenset(("ja", "my", "th", "zh"))
"""Languages for which XL-Sum's scorer uses a word segmenter: MeCab, PyThaiNLP, jieba."""
_OTHER_STEMMERS = frozenset(("bn", "hi", "tr"))
"""Languages for which it uses a stemmer outside nltk."""

_REMOVED = regex.compile(r"[\u0000\uFFFD]|[\p{C}--[\t\n\r]]", regex.V1)
_PUNCTUATION = regex.compile(r"[\p{P}\p{ASCII}--[\p{L}\p{N}\p{C}\s]]", regex.V1)
_TOKEN = regex.compile(
    r"\p{Han}|[\p{L}--\p{Han}][[\p{L}\p{M}]--\p{Han}]*|[\p{N}--\p{Han}][\p{N}\p{M}]*|\S\p{M}*", regex.V1
)
"""A Chinese character, a run of letters, a run of digits, or one symbol."""


@dataclass(frozen=True, kw_only=True)
class XlsumRouge(Metric):
    """ROUGE-1, -2 and -L with the tokens of XL-Sum's scorer, multilingual_rouge_scoring, in most of its languages.

    The implementation follows the scorer's description: lower case, punctuation of all scripts removed, runs of letters
    and of digits as tokens, and Snowball stems of tokens longer than 3 letters. `docs/reference/metrics.md` lists the
    differences.
    """

    scores = {
        f"xlsum_{rouge_type}": Score(
            f"{rouge_type} F1 with XL-Sum's tokens", higher_is_better=True, lowest=0, highest=1, scale=100
        )
        for rouge_type in _REPORTED
    }

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:  # noqa: ARG002
        """Report the languages whose tokens cannot be reproduced."""
        if unknown := [language for language in languages if not _is_reproduced(language)]:
            yield (
                f"XL-Sum scores {', '.join(unknown)} with other word segmenters or stemmers; rows in these languages "
                "get no xlsum_ scores"
            )

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return each row's F1: None in a language whose tokens cannot be reproduced."""
        from bisum.evaluation.rouge_engine import score_tokens

        scored = score_tokens(summaries.references, summaries.predictions, summaries.languages, xlsum_tokens)
        found = scored[..., ROUGE_MEASURES.index("fmeasure")]
        return {
            f"xlsum_{rouge_type}": [
                float(value) if _is_reproduced(language) else None
                for value, language in zip(found[:, ROUGE_TYPES.index(rouge_type)], summaries.languages, strict=True)
            ]
            for rouge_type in _REPORTED
        }


def xlsum_tokens(text: str, language: str) -> list[str]:
    """Return the tokens that XL-Sum's scorer extracts from a text."""
    from bisum.evaluation.tokens import snowball_stem

    words = " ".join(_PUNCTUATION.sub(" ", _REMOVED.sub("", text.lower())).split())
    tokens: list[str] = _TOKEN.findall(words)
    stemmer = tools_for(language).stemmer
    return [snowball_stem(token, stemmer) if stemmer and len(token) > _LONGEST_UNSTEMMED else token for token in tokens]


def _is_reproduced(language: str) -> bool:
    return tools_for(language).language not in _SEGMENTED | _OTHER_STEMMERS
