"""Whether training is still sound: finite losses, gradients, weights and optimizer state."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.optim import Optimizer

from bisum.models.weights import not_finite


class SoundSteps:
    """A count of the steps with a finite loss and gradient, kept on the device so that no step waits for it."""

    def __init__(self, step: int) -> None:
        self.reset(step)

    def reset(self, step: int) -> None:
        """Count from `step` on, the last one known to be sound."""
        self._start = step
        self._sound: torch.Tensor | bool = True
        self._count: torch.Tensor | int = 0

    def add(self, loss: torch.Tensor, grad_norm: torch.Tensor | None) -> None:
        """Count a step, unless it or one before it is not finite."""
        sound = torch.isfinite(loss)
        if grad_norm is not None:
            sound = sound & torch.isfinite(grad_norm).to(sound.device)
        self._sound = sound & self._sound
        self._count = self._sound.long() + self._count

    def checkpoint_step(self, step: int) -> int:
        """Return the last step before `step` whose weights can be trained from.

        Weights that give a loss or gradient that is not finite give it again to a run that resumes from them. An
        infinite gradient norm may also be harmless, so it counts only if training fails before the next `reset`.
        """
        last = self._start + int(self._count)
        return step - 1 if last == step else last - 1


def unsound_state(model: torch.nn.Module, optimizer: Optimizer) -> str | None:
    """Return which weight, or entry of the optimizer's state, is not finite; None if all are finite."""
    named: dict[torch.Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}

    def state() -> Iterator[tuple[str, torch.Tensor]]:
        for parameter, entries in optimizer.state.items():
            for entry, value in entries.items():
                if isinstance(value, torch.Tensor | float):
                    yield f"the optimizer's {entry} of {named.get(parameter, 'a weight')}", torch.as_tensor(value)

    return not_finite((name, parameter) for parameter, name in named.items()) or not_finite(state())


def recovery(
    run: str, checkpoint: str | None, learning_rate: float, *, full_precision: bool, failed_again: bool
) -> str:
    """Return how to go on after training became unsound, from its last sound `checkpoint` if there is one."""
    precision = "" if full_precision else ", or with hardware.precision=float32"
    if checkpoint is None or failed_again:
        what = f"training fails right after {checkpoint}" if checkpoint else "nothing sound was saved"
        return f"{what}; start again with a lower trainer.learning_rate than {learning_rate:g}{precision}"
    lower = f"trainer.learning_rate={min(learning_rate / 10, 1e-4):g}"
    return f"continue from {checkpoint}, the last sound checkpoint, with: bisum resume={run} {lower}{precision}"
