"""LoRA adapters for tests."""

from dataclasses import replace

import torch
from torch import nn

from bisum import compose
from bisum.models.adapters import Lora


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
