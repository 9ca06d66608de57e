"""The loss, shared by training and evaluation in all backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from bisum.interfaces.family import IGNORED_LABEL


def count_all_tokens(batches: Sequence[Mapping[str, torch.Tensor]], device: torch.device) -> torch.Tensor:
    """Return the number of non-ignored labels in batches on the CPU, as a scalar tensor on `device`."""
    counts = torch.stack([count_tokens(batch["labels"]) for batch in batches])
    return counts.to(device).sum()  # moved before the sum: XLA can recompile for the value of a moved scalar


def token_loss(
    logits: torch.Tensor, labels: torch.Tensor, tokens: torch.Tensor | int, label_smoothing: float = 0.0
) -> torch.Tensor:
    """Return the cross-entropy summed over label tokens and divided by `tokens`, in nats, shape ().

    If `tokens` is the count of a whole accumulated batch, the gradients of its parts add up to the gradient of one
    large batch.

    Args:
        logits: shape (rows, summary tokens, vocabulary).
        labels: shape (rows, summary tokens); -100 is ignored.
        tokens: divisor of the sum.
        label_smoothing: share of the target spread over the vocabulary (Szegedy et al. 2016).
    """
    summed = functional.cross_entropy(
        logits.float().flatten(0, 1),
        labels.flatten(),
        ignore_index=IGNORED_LABEL,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return summed / tokens


def count_tokens(labels: torch.Tensor) -> torch.Tensor:
    """Return the number of non-ignored labels, as a scalar tensor."""
    return (labels != IGNORED_LABEL).sum()
