"""LoRA adapters for tests."""

from dataclasses import replace

import pytest
import torch
from plain import read_model
from torch import nn
from transformers import PreTrainedModel

from bisum import compose
from bisum.errors import UserError
from bisum.models.adapters import Lora
from bisum.models.loading import check_model, load

ADAPTED = (
    "t5", "mt5", "umt5", "longt5", "t5gemma", "t5gemma2", "bart", "pegasus", "led", "mbart50", "m2m100", "marian",
    "gpt2", "chat",
)  # fmt: skip
"""Families with layers of their own; the others have those of one of these."""


def same(family: str, one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether logits are equal: bit by bit, except LED's, whose attention multiplies overlapping views."""
    return torch.allclose(one, other, rtol=0, atol=1e-5) if family == "led" else torch.equal(one, other)


def lora(**settings) -> Lora:
    """A LoRA of rank 4, with further settings by name."""
    return replace(compose(["adapter=lora", "adapter.rank=4"]).adapter, **settings)


@torch.no_grad()
def perturb(model: nn.Module) -> None:
    """Give LoRA layers random weights, as if they had been trained: they change the output noticeably."""
    generator = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
        elif "lora_magnitude" in name:
            weight.mul_(1 + 0.1 * torch.randn(weight.shape, generator=generator))


def plain_base(family: str, folder) -> PreTrainedModel:
    """The whole model in a folder, read by transformers alone."""
    return read_model(family, folder)


@torch.no_grad()
def logits(model) -> torch.Tensor:
    """The logits of two short texts."""
    ids = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]])
    decoder = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    return model.eval()(input_ids=ids, **decoder).logits


def refusal(options) -> str:
    """The line that refuses a checkpoint, with and without reading its weights."""
    messages = set()
    for read in (lambda: load(options, 42, "float32"), lambda: check_model(options, "float32")):
        with pytest.raises(UserError) as raised:
            read()
        messages.add(str(raised.value))
    (message,) = messages
    assert "\n" not in message
    return message
