"""T5Gemma and T5Gemma 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bisum.models.families.encoder_decoder import EncoderDecoder


@dataclass(frozen=True, kw_only=True)
class T5Gemma(EncoderDecoder):
    """T5Gemma (Zhang et al. 2025) and the text part of T5Gemma 2: an encoder-decoder with the layers of Gemma.

    Its tokenizer writes `<bos> text`. The decoder starts with `<bos>`, so that a summary is `text <eos>`.
    """

    shares_states: ClassVar[bool] = True
    adapter_targets: ClassVar[tuple[str, ...] | Literal["all-linear"]] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )

    def precision_problem(self, precision: str) -> str | None:
        """Return why fp16 fails: activations of Gemma, which is trained in bf16, overflow its range."""
        return "activations of T5Gemma overflow fp16; use bf16 or float32" if precision == "fp16" else None
