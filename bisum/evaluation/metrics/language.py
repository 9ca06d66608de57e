"""Detection of summaries in the wrong language, the typical failure of a bilingual summarizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Lt

from bisum.corpus.languages import macrolanguage_of, tools_for
from bisum.errors import UserError
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.language import Language
from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.score import share

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


@dataclass(frozen=True, kw_only=True)
class LanguageIdentification(Metric):
    """Summaries in the wrong language, by py3langid, a naive Bayes classifier of byte n-grams in 139 languages.

    A summary is in the wrong language if the language of another row, or one of `others`, is more probable than its
    own, or if the probability of its own among all languages is below `threshold`. Choosing the most probable of all
    misjudges at least a tenth of short texts, which resemble close relatives of their language. The members of a
    macrolanguage, such as Arabic, count as one language unless the rows have several of them.
    """

    others: list[Language] = from_conf("metric/language", "others")
    """Additional languages that each summary is compared with; models often fall back to English."""
    threshold: Annotated[float, Gt(0), Lt(1)] = from_conf("metric/language", "threshold")
    """Minimum probability of a summary's own language."""

    scores = {"wrong_language": share("summaries not in their document's language", higher_is_better=False)}

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:  # noqa: ARG002
        """Report the languages of the corpus that the classifier does not support.

        Raises:
            UserError: the classifier does not support one of `others`.
        """
        if unsupported := [language for language in self.others if _code(language) is None]:
            names = ", ".join(unsupported)
            raise UserError(f"others: py3langid does not support {names}; use codes such as en, es, pt")
        if unknown := [language for language in languages if _code(language) is None]:
            names = ", ".join(unknown)
            yield f"py3langid does not support {names}; rows in these languages get no wrong_language score"

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return 1 for a summary in the wrong language, otherwise 0; None if it has no letters."""
        codes = [_code(language) for language in summaries.languages]
        rivals = {code for code in (*codes, *map(_code, self.others)) if code is not None}
        return {
            "wrong_language": [
                self._is_wrong(prediction, code, rivals - {code})
                for prediction, code in zip(summaries.predictions, codes, strict=True)
            ]
        }

    def _is_wrong(self, text: str, code: str | None, rivals: Iterable[str]) -> float | None:
        if code is None or not any(map(str.isalpha, text)):
            return None
        probabilities = dict(_identifier().rank(text))
        # A text in Egyptian Arabic can look like Standard Arabic.
        own = sum(probabilities[name] for name in _relatives(code) if name not in rivals)
        return float(own < self.threshold or own < max((probabilities[rival] for rival in rivals), default=0))


def _code(language: str) -> str | None:
    """Return the identifier's code of a language; None if the language is unsupported."""
    code = tools_for(language).language or ""
    return next((name for name in (code, macrolanguage_of(code)) if name in _identifier().labels), None)


@cache
def _relatives(code: str) -> list[str]:
    """Return the identifier's codes of a language and the other members of its macrolanguage."""
    whole = macrolanguage_of(code) or code
    return [name for name in _identifier().labels if name == code or whole in (name, macrolanguage_of(name))]


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
