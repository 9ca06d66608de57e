"""Sizes and random weights of the small models."""

import torch
from torch import nn
from transformers import PreTrainedModel

WIDTHS = {"d_model": 32, "max_position_embeddings": 128} | {
    f"{part}_{name}": value
    for part in ("encoder", "decoder")
    for name, value in {"layers": 1, "ffn_dim": 64, "attention_heads": 2}.items()
}
T5_WIDTHS = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
EMBEDDINGS = ("shared", "embed_tokens", "wte", "wpe", "lm_head")


@torch.no_grad()
def randomize(model: PreTrainedModel, end: int, embedding: float = 0.1, ends: float = 2) -> PreTrainedModel:
    """Draw large weights, so that tokens do not depend only on the previous one and some summaries end early."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and weight.requires_grad:
            is_embedding = any(part in name for part in EMBEDDINGS)
            nn.init.normal_(weight, std=embedding if is_embedding else 3 / weight.shape[-1] ** 0.5)
    model.get_output_embeddings().weight[end] *= ends
    return model


def separate_head(model: PreTrainedModel, end: int) -> PreTrainedModel:
    """Give a model random weights and a head separate from the embedding, although its configuration ties them."""
    model.lm_head.weight = nn.Parameter(torch.randn_like(model.lm_head.weight))
    model.config.tie_word_embeddings = False
    return randomize(model, end)
