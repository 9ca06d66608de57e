"""Marian, whose models translate between two languages or groups of languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bisum.models.families.bart import Bart

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from bisum.interfaces.family import TextReader

_CODE = re.compile(r">>.+<<")


@dataclass(frozen=True, kw_only=True)
class Marian(Bart):
    """Marian (Junczys-Dowmunt et al. 2018): separate SentencePiece models for both sides; padding starts the decoder.

    A model for several target languages needs `model.prefix`, such as `>>spa<< `.
    """

    def encode(
        self, reader: TextReader, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Tokenize the texts; the tokenizer would read `>>...<<` at the start of a document as a language."""
        documents = [f" {document}" if _CODE.match(document) else document for document in documents]
        return super().encode(reader, documents, summaries, languages)

    def suppressed_tokens(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[int]:  # noqa: ARG002
        """Return the padding token, which the models can assign a high probability, as transformers bans it, too."""
        return [int(tokenizer.pad_token_id)]
