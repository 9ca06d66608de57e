"""Marian, whose models translate between two languages or groups of languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bisum.models.families.bart import Bart

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from bisum.interfaces.family import TextReader


@dataclass(frozen=True, kw_only=True)
class Marian(Bart):
    """Marian (Junczys-Dowmunt et al. 2018): separate SentencePiece models for both sides; padding starts the decoder.

    A model for several target languages needs `model.prefix`, such as `>>spa<< `.
    """

    def encode(
        self, reader: TextReader, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Tokenize the texts, with a blank before a leading `>>...<<`, which the tokenizer would read as a language."""
        documents, summaries = (
            [f" {text}" if text.startswith(">>") else text for text in texts] for texts in (documents, summaries)
        )
        return super().encode(reader, documents, summaries, languages)

    def suppressed_tokens(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[int]:  # noqa: ARG002
        """Return the padding token, which transformers bans, too: the models can give it a high probability."""
        return [int(tokenizer.pad_token_id)]
