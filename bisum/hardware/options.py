"""The hardware a run may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge


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
    """Collate into page-locked memory, which a GPU copies from faster."""
