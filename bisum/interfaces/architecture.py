"""The interface of an architecture, which builds a model from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@runtime_checkable
class Architecture(Protocol):
    """Builds a model with random weights and its tokenizer."""

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer."""

    def build_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """Return a model for the tokenizer's vocabulary, with random weights from torch's global generator."""
