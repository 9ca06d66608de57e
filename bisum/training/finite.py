"""Checks for finite losses, gradients, weights and optimizer state."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.optim import Optimizer

from bisum.models.weights import find_non_finite


class FiniteSteps:
    """Counts the steps with a finite loss and gradient, on the device: no step waits for the count."""

    def __init__(self, step: int) -> None:
        self.reset(step)

    def reset(self, step: int) -> None:
        """Restart the count at `step`, the last one known to be finite."""
        self._start = step
        self._all_finite: torch.Tensor | bool = True
        self._count: torch.Tensor | int = 0

    def add(self, loss: torch.Tensor, grad_norm: torch.Tensor | None) -> None:
        """Count a step unless it or an earlier one is not finite; both tensors have shape ()."""
        is_finite = torch.isfinite(loss)
        if grad_norm is not None:
            is_finite = is_finite & torch.isfinite(grad_norm).to(is_finite.device)
        self._all_finite = is_finite & self._all_finite
        self._count = self._all_finite.long() + self._count

    def checkpoint_step(self, step: int) -> int:
        """Return the last step before `step` from whose weights training can continue.

        A run resumed from weights with a non-finite loss or gradient fails again. An infinite gradient norm can also be
        harmless, so it counts only if training fails before the next `reset`.
        """
        last = self._start + int(self._count)
        return step - 1 if last == step else last - 1


def find_non_finite_state(model: torch.nn.Module, optimizer: Optimizer) -> str | None:
    """Return which weight or entry of the optimizer's state is not finite; None if all are finite."""
    named: dict[torch.Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}

    def state() -> Iterator[tuple[str, torch.Tensor]]:
        for parameter, entries in optimizer.state.items():
            for entry, value in entries.items():
                if isinstance(value, torch.Tensor | float):
                    yield f"the optimizer's {entry} of {named.get(parameter, 'a weight')}", torch.as_tensor(value)

    return find_non_finite((name, parameter) for parameter, name in named.items()) or find_non_finite(state())


def recovery(
    run: str, checkpoint: str | None, learning_rate: float, *, full_precision: bool, failed_again: bool
) -> str:
    """Return how to continue after training failed, from the last sound `checkpoint` if there is one."""
    precision = "" if full_precision else ", or with hardware.precision=float32"
    if checkpoint is None or failed_again:
        what = f"training fails right after {checkpoint}" if checkpoint else "no sound checkpoint exists"
        return f"{what}; start again with trainer.learning_rate below {learning_rate:g}{precision}"
    lower = f"trainer.learning_rate={min(learning_rate / 10, 1e-4):g}"
    return f"continue from {checkpoint}, the last sound checkpoint, with: bisum resume={run} {lower}{precision}"
