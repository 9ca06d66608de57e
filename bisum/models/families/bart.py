"""BART and models with its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bisum.models.families.encoder_decoder import EncoderDecoder


@dataclass(frozen=True, kw_only=True)
class Bart(EncoderDecoder):
    """BART (Lewis et al. 2020), its monolingual relatives, and mBART's architecture without language tokens."""

    shares_states: ClassVar[bool] = True
    adapter_targets: ClassVar[tuple[str, ...] | Literal["all-linear"]] = (
        *("q_proj", "k_proj", "v_proj", "out_proj"),
        *("fc1", "fc2"),
    )
