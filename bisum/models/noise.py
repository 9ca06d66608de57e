"""Dropout on a CPU with cheaper random numbers than torch's, which take a fifth of a small model's training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional

_LEVELS = 2**16
"""Number of values of a random number: one 64-bit draw gives four 16-bit numbers."""
_torch_dropout, _torch_attention = functional.dropout, functional.scaled_dot_product_attention


@contextmanager
def cheap_dropout(device: torch.device) -> Iterator[None]:
    """Let torch's functional dropout and attention, and so `nn.Dropout`, use `dropout` on a CPU.

    All models call the functions as attributes of `torch.nn.functional`. Other devices keep torch's own.
    """
    if device.type == "cpu":
        functional.dropout, functional.scaled_dot_product_attention = dropout, attention
    try:
        yield
    finally:
        functional.dropout, functional.scaled_dot_product_attention = _torch_dropout, _torch_attention


def dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """Drop each element with probability `p`, rounded to a multiple of 2^-16, and scale the others to the same mean.

    One number of torch's generator seeds the noise of a call. The noise therefore follows the state of the generator,
    which the session sets for each step and gradient checkpointing restores for each recomputation.
    """
    dropped = round(p * _LEVELS)
    if not training or not 0 < dropped < _LEVELS or input.device.type != "cpu":
        return _torch_dropout(input, p, training, inplace)
    draws = np.random.SFC64(int(torch.randint(2**63 - 1, ()))).random_raw(-(-input.numel() // 4))
    kept = draws.view(np.uint16)[: input.numel()] >= dropped
    scaled = np.multiply(kept, np.float32(_LEVELS / (_LEVELS - dropped)), dtype=np.float32)
    noise = torch.from_numpy(scaled).view(input.shape).to(input.dtype)
    return input.mul_(noise) if inplace else input * noise


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Return `scaled_dot_product_attention`, with `dropout`; torch has no faster kernel for dropout on a CPU.

    Torch's own handles what models do not use: a mask that adds -inf to all keys of a query, and a mask beside
    `is_causal`, which it refuses. A mask with a gradient, which contains a learned bias, must be finite.

    Args:
        query: shape (..., queries, width).
        key: shape (..., keys, width).
        value: shape (..., keys, width of a value).
        attn_mask: broadcast to (..., queries, keys): boolean, true for the keys to attend to, or numbers to add.
        dropout_p: probability of dropping a weight.
        is_causal: whether a query attends only to keys at its own position and before.
        scale: factor of the scores; None: one divided by the root of the width.
        enable_gqa: whether groups of heads share keys and values.

    Returns:
        shape (..., queries, width of a value).

    Raises:
        RuntimeError: there is a mask beside `is_causal`.
    """
    if dropout_p == 0 or query.device.type != "cpu" or _is_rare(attn_mask, is_causal):
        further: dict[str, Any] = {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
        return _torch_attention(query, key, value, attn_mask, dropout_p, **further)
    if enable_gqa:
        key, value = (states.repeat_interleave(query.size(-3) // states.size(-3), -3) for states in (key, value))
    scores = query @ key.mT
    if scale != 1:  # T5's is 1
        scores = scores * (query.size(-1) ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        # Not -inf: all keys of a padded token can be masked, and their softmax would be NaN.
        scores = scores.masked_fill(attn_mask.logical_not(), torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    output = dropout(scores.softmax(-1), dropout_p) @ value
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        output = output.masked_fill(attn_mask.any(-1, keepdim=True).logical_not(), 0)  # as in torch's kernels
    return output


def _is_rare(mask: torch.Tensor | None, is_causal: bool) -> bool:
    if mask is None or is_causal or mask.dtype == torch.bool or mask.requires_grad:
        return mask is not None and is_causal
    return bool((mask.amax(-1) == -torch.inf).any())
