"""The hardware a run may ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

PJRT_DEVICE = os.environ.get("PJRT_DEVICE")
"""The XLA device that the user chose; read early, since importing torch_xla sets it to CPU where it finds no TPU."""


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """One device, its number format and how rows reach it."""

    device: Literal["auto", "cpu", "gpu", "tpu"]
    """Where the model lives; auto takes a GPU if there is one, else the CPU."""
    precision: Literal["auto", "float32", "bf16", "fp16"]
    """Number format of the forward pass (weights are float32); auto: bf16 on a GPU or TPU that has it, else float32."""
    data_loader_workers: Annotated[int, Ge(0)]
    """Processes that collate batches ahead of the device; 0 collates in the main process."""
    pin_memory: bool
    """Collate into page-locked memory, which a GPU copies from faster; without a GPU it changes nothing."""
    length_buckets: Annotated[int, Ge(1)] | None
    """Most document lengths, in tokens and chosen from the corpus, that batches are padded to; batches then have all
    their rows and summaries one length, so that XLA compiles few programs. null: the longest row's length."""
