"""Sentence splitting with models that come installed, so that it is the same on every machine."""

from functools import cache

import punkt

from bisum.corpus.languages import tools_for


def split_sentences(text: str, language: str) -> list[str]:
    """The sentences of `text`, stripped and none of them empty.

    Uses the trained Punkt model of the language (Kiss & Strunk 2006, https://aclanthology.org/J06-4003), or the
    `punkt` package's rules for scripts with end marks of their own, such as Japanese and Chinese. A line break
    alone ends no sentence, as in nltk, so a sentence may span lines.
    """
    sentences = _tokenizer(tools_for(language).punkt).tokenize(text)
    return [stripped for sentence in sentences if (stripped := sentence.strip())]


@cache
def _tokenizer(model: str) -> punkt.PunktSentenceTokenizer:
    return punkt.tokenizer_for(model)
