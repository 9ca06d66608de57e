"""The interface of an architecture, which builds a model without a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@runtime_checkable
class Architecture(Protocol):
    """A builder of a model and its tokenizer without a checkpoint."""

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer."""

    def build_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """Return a model with random weights (drawn from torch's global generator) for the tokenizer's vocabulary."""
