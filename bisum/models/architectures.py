"""Architectures, which build models with random weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from bisum.config.model_source import located
from bisum.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class T5Architecture:
    """A T5 encoder-decoder (Raffel et al. 2020) of any size."""

    tokenizer: str
    """Directory of a tokenizer, or `pkg://PACKAGE` for one in a Python package."""
    d_model: Annotated[int, Ge(1)]
    """Width of the residual stream."""
    d_ff: Annotated[int, Ge(1)]
    """Width of the feed-forward layers."""
    num_layers: Annotated[int, Ge(1)]
    """Number of layers in the encoder, and in the decoder."""
    num_heads: Annotated[int, Ge(1)]
    """Number of attention heads, each of width d_model / num_heads."""
    dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of activations zeroed in training."""

    def __post_init__(self) -> None:
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of num_heads {self.num_heads}")

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer in the directory."""
        from pathlib import Path

        from transformers import AutoTokenizer

        folder = located(self.tokenizer, "model.architecture.tokenizer")
        if not Path(folder).is_dir():
            raise UserError(f"model.architecture.tokenizer: there is no directory '{self.tokenizer}'")
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        return tokenizer

    def build_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """Return a `T5ForConditionalGeneration` with random weights and embeddings tied to the head."""
        from transformers import T5Config, T5ForConditionalGeneration

        config = T5Config(
            vocab_size=len(tokenizer),
            d_model=self.d_model,
            d_kv=self.d_model // self.num_heads,
            d_ff=self.d_ff,
            num_layers=self.num_layers,
            num_decoder_layers=self.num_layers,
            num_heads=self.num_heads,
            dropout_rate=self.dropout,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        config.decoder_start_token_id = tokenizer.pad_token_id
        return T5ForConditionalGeneration(config)
