"""LED, for documents of up to 16,384 tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from bisum.errors import UserError
from bisum.models.families.bart import Bart
from bisum.models.families.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from bisum.interfaces.family import TextReader


@dataclass(frozen=True, kw_only=True)
class LED(EncoderDecoder):
    """LED (Beltagy et al. 2020): attention within a window, and of one token to the whole document.

    For summarization, its authors give the first token this global attention.
    """

    shares_states: ClassVar[bool] = True
    adapter_targets: ClassVar[tuple[str, ...] | Literal["all-linear"]] = (
        *Bart.adapter_targets,
        *("query", "key", "value", "output"),
        *("query_global", "key_global", "value_global"),
    )

    def check(self, reader: TextReader) -> None:
        """Also refuse a limit whose multiple of the window, to which the model pads, exceeds its positions."""
        super().check(reader)
        window, positions = reader.config.attention_window, reader.config.max_encoder_position_embeddings
        window = max(window) if isinstance(window, list) else window
        padded = -(-reader.max_document_tokens // window) * window
        if padded > positions:
            raise UserError(
                f"model.max_document_tokens: {reader.max_document_tokens} tokens are padded to {padded}, a multiple of "
                f"the attention window, but the model has {positions} positions; at most {positions // window * window}"
            )

    def model_inputs(
        self, config: PretrainedConfig, documents: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor, pad: int
    ) -> dict[str, torch.Tensor]:
        """Return the inputs with the mask of the global attention, which is 1 at the first token."""
        from torch.nn import functional

        inputs = super().model_inputs(config, documents, mask, labels, pad)
        others = documents.new_zeros(len(documents), documents.shape[1] - 1)
        return {**inputs, "global_attention_mask": functional.pad(others, (1, 0), value=1)}
