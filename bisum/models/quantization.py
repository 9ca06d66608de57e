"""Quantization of an adapter's frozen base with bitsandbytes (QLoRA, Dettmers et al. 2023)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from bisum.errors import UserError

_COMPUTE = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_quantization(device: torch.device, *, trains: bool) -> None:
    """Raise UserError unless the device supports 4-bit weights, for a new adapter or one that was trained on them."""
    check_bitsandbytes()
    if device.type == "cuda" and torch.version.hip is None:
        return
    if trains:
        raise UserError(
            f"adapter.quantize: 4bit needs an NVIDIA GPU, and this run uses {device.type}; use hardware=gpu or "
            "adapter.quantize=null"
        )
    raise UserError(
        "model.checkpoint: the adapter was trained on a 4-bit base, which needs an NVIDIA GPU; merge it on one with "
        "bisum push RUN hub.folder=DIR"
    )


def check_bitsandbytes() -> None:
    """Raise UserError if bitsandbytes is not installed."""
    if find_spec("bitsandbytes") is None:
        raise UserError("adapter.quantize: 4bit needs bitsandbytes; install it with pip install 'bisum[lora]'")


def quantized(device: torch.device, precision: str) -> dict[str, Any]:
    """Return the options of `from_pretrained` for NF4 weights with double quantization on a device.

    `precision` (float32, bf16 or fp16) is the number format of matrix products; the other layers stay float32.
    """
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_COMPUTE[precision],
    )
    return {"quantization_config": settings, "device_map": {"": device}}


def dequantize(model: PreTrainedModel) -> None:
    """Turn a model's 4-bit layers into plain ones, with the float32 values that their weights represent."""
    transposed = [name for name, layer in model.named_modules() if getattr(layer, "source_cls", None) is Conv1D]
    model.dequantize()
    for name in transposed:  # GPT-2's layers, which transformers leaves as nn.Linear
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        layer = Conv1D(linear.out_features, linear.in_features)
        layer.weight, layer.bias = nn.Parameter(linear.weight.detach().T.contiguous()), linear.bias
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer)
