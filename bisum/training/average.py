"""A moving average of the weights, whose scores are usually better than those of the last weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """The exponential moving average of the weights that an optimizer updates (Polyak & Juditsky 1992)."""

    def __init__(self, optimizer: Optimizer, decay: float) -> None:
        """Begin with the present weights.

        Args:
            optimizer: the optimizer.
            decay: the share of the average that a step keeps, below 1.
        """
        self._weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._averages = [weight.detach().clone() for weight in self._weights]
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the weights after a step, counted from 1.

        The decay is lower in the first steps, so that the initial weights do not dominate a short training. The formula
        is that of TensorFlow's `ExponentialMovingAverage` with `num_updates`.
        """
        decay = min(self._decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(self._averages, self._weights, None)  # type: ignore[no-untyped-call]

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Let the model have the average as its weights during the block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for weight, average in zip(self._weights, self._averages, strict=True):
            weight.data, average.data = average.data, weight.data
