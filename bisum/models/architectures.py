"""Architectures: models built with random weights."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le, Lt

from bisum.config.model_source import located, missing_directory
from bisum.errors import UserError
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_MAX_PARAMETERS = 20_000_000_000
"""Maximum number of weights of an architecture; the largest T5 has 11 billion."""
_POSITION_BUCKETS = 32
"""Relative position buckets per head, in the first layer of the encoder and of the decoder."""


@dataclass(frozen=True, kw_only=True)
class T5Architecture:
    """A T5 encoder-decoder (Raffel et al. 2020) of any size.

    Raises ValueError if d_model is not a multiple of num_heads, or the model has too many parameters.
    """

    tokenizer: Name
    """Directory of a tokenizer, or `pkg://PACKAGE` for one in a Python package."""
    d_model: Annotated[int, Ge(1), Le(65_536)]
    """Width of the residual stream."""
    d_ff: Annotated[int, Ge(1), Le(262_144)]
    """Width of the feed-forward layers."""
    num_layers: Annotated[int, Ge(1), Le(1000)]
    """Number of layers in the encoder, and in the decoder."""
    num_heads: Annotated[int, Ge(1), Le(1024)]
    """Number of attention heads, each of width d_model / num_heads."""
    dropout: Annotated[float, Ge(0), Lt(1)]
    """Share of activations zeroed in training."""

    def __post_init__(self) -> None:
        if self.d_model % self.num_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of num_heads {self.num_heads}")
        if (parameters := self.parameters()) > _MAX_PARAMETERS:
            raise ValueError(
                f"d_model, d_ff and num_layers make {parameters:,} parameters; the limit is {_MAX_PARAMETERS:,}"
            )

    def parameters(self, vocabulary: int = 0) -> int:
        """Return the number of weights in the layers and in the embeddings of `vocabulary` tokens."""
        attention, feed_forward = 4 * self.d_model**2, 2 * self.d_model * self.d_ff
        # An encoder layer has one attention and two norms, a decoder layer two and three.
        layers = self.num_layers * (3 * attention + 2 * feed_forward + 5 * self.d_model)
        positions = 2 * _POSITION_BUCKETS * self.num_heads
        return layers + positions + 2 * self.d_model + vocabulary * self.d_model

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer in the directory; raise UserError if the directory does not exist."""
        from pathlib import Path

        from transformers import AutoTokenizer

        folder = located(self.tokenizer, "model.architecture.tokenizer")
        if not Path(folder).is_dir():
            raise missing_directory("model.architecture.tokenizer", self.tokenizer)
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        return tokenizer

    def build_model(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
        """Return a `T5ForConditionalGeneration` with random weights and embeddings tied to the head.

        Raises UserError if the weights exceed the machine's memory.
        """
        from transformers import T5Config, T5ForConditionalGeneration

        self._check_memory(len(tokenizer))
        config = T5Config(
            vocab_size=len(tokenizer),
            d_model=self.d_model,
            d_kv=self.d_model // self.num_heads,
            d_ff=self.d_ff,
            num_layers=self.num_layers,
            num_decoder_layers=self.num_layers,
            num_heads=self.num_heads,
            relative_attention_num_buckets=_POSITION_BUCKETS,
            dropout_rate=self.dropout,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        config.decoder_start_token_id = tokenizer.pad_token_id
        return T5ForConditionalGeneration(config)

    def _check_memory(self, vocabulary: int) -> None:
        """Refuse weights that exceed the machine's memory, where the operating system reports it."""
        try:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, OSError, ValueError):
            return
        parameters = self.parameters(vocabulary)
        if 4 * parameters > memory:
            raise UserError(
                f"model.architecture: {parameters:,} parameters need {4 * parameters / 2**30:,.1f} GiB in float32; "
                f"this machine has {memory / 2**30:,.1f} GiB"
            )
