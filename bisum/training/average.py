"""A moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bisum.training.optimization import updated_weights


class Average:
    """The exponential moving average of the weights that an optimizer updates.

    Polyak & Juditsky (1992) average the weights of all steps; here, later steps count more.
    """

    def __init__(self, optimizer: Optimizer, decay: float) -> None:
        """Begin with the present weights.

        Args:
            optimizer: the optimizer.
            decay: the share of the average that a step keeps, below 1.
        """
        self._weights = updated_weights(optimizer)
        self._averages = [weight.detach().clone() for weight in self._weights]
        self._decay = decay
        self._updated: list[torch.Tensor] | None = None
        """The weights that the optimizer updates, while the model has the average."""

    @property
    def tensors(self) -> list[torch.Tensor]:
        """The averages, in the order of the optimizer's weights."""
        return self._averages

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
        """Swap the averaged weights into the model during the block.

        An interrupt at any moment leaves a state that a later block restores.
        """
        if self._updated is None:
            self._updated = [weight.data for weight in self._weights]
        try:
            self._assign(self._averages)
            yield
        finally:
            self._assign(self._updated)
            self._updated = None

    def _assign(self, tensors: list[torch.Tensor]) -> None:
        for weight, tensor in zip(self._weights, tensors, strict=True):
            weight.data = tensor
