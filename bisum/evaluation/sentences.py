"""Sentence splitting with bundled models, the same on every machine."""

from functools import cache

import punkt

from bisum.corpus.languages import tools_for


def split_sentences(text: str, language: str) -> list[str]:
    """Return the sentences of `text`, stripped and without empty ones.

    The splitter is the trained Punkt model of the language (Kiss & Strunk 2006, https://aclanthology.org/J06-4003), or
    the `punkt` package's rules for scripts with their own end marks, such as Japanese and Chinese. As in nltk, a line
    break alone does not end a sentence, so a sentence may span lines.
    """
    sentences = _tokenizer(tools_for(language).punkt).tokenize(text)
    return [stripped for sentence in sentences if (stripped := sentence.strip())]


@cache
def _tokenizer(model: str) -> punkt.PunktSentenceTokenizer:
    return punkt.tokenizer_for(model)
