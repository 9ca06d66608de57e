"""The optimizer and learning-rate schedule, common to all backends."""

from __future__ import annotations

import math

import torch
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers.optimization import Adafactor, get_scheduler

from bisum.interfaces.trainer import Trainer

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def build_optimizer(model: torch.nn.Module, settings: Trainer) -> Optimizer:
    """Return AdamW or Adafactor over two parameter groups, with and without weight decay.

    As in transformers' Trainer, all parameters decay except biases, including T5's relative attention bias, and the
    weights of normalizations. With `decay_all_parameters`, all do.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    names = set(trained) if settings.decay_all_parameters else decayed_names(model)
    decayed = [parameter for name, parameter in trained.items() if name in names]
    others = [parameter for name, parameter in trained.items() if name not in names]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adafactor":
        return Adafactor(groups, lr=settings.learning_rate, scale_parameter=False, relative_step=False)
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    # On a CPU, PyTorch's default is a loop over the parameters, four times slower; elsewhere its default is good.
    return AdamW(groups, lr=settings.learning_rate, fused=on_cpu or None)


def updated_weights(optimizer: Optimizer) -> list[torch.Tensor]:
    """Return the weights that an optimizer updates, in the order of its state."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def state_shapes(optimizer: Optimizer, parameter: torch.Tensor) -> dict[str, torch.Size]:
    """Return the shapes of a parameter's state in `build_optimizer`'s optimizers, by name."""
    whole, count = parameter.shape, torch.Size([])
    if not isinstance(optimizer, Adafactor):
        return {"step": count, "exp_avg": whole, "exp_avg_sq": whole}
    factors = {"exp_avg_sq_row": whole[:-1], "exp_avg_sq_col": whole[:-2] + whole[-1:]}
    return {"step": count, "RMS": count, **(factors if len(whole) > 1 else {"exp_avg_sq": whole})}


def build_schedule(optimizer: Optimizer, settings: Trainer, total_steps: int, step: int = 0) -> LambdaLR:
    """Return the learning-rate schedule over `total_steps` optimizer steps (warmup included), advanced to `step`."""
    warmup = warmup_steps(settings.warmup, total_steps)
    schedule: LambdaLR = get_scheduler(_SCHEDULES[settings.schedule], optimizer, warmup, total_steps)
    return schedule if step == 0 else LambdaLR(optimizer, schedule.lr_lambdas, last_epoch=step - 1)


_NOT_DECAYED = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
"""Patterns of the names of parameters without weight decay, as in transformers' Trainer."""


def warmup_steps(warmup: float, total_steps: int) -> int:
    """Return the number of warmup steps, as transformers' `TrainingArguments.get_warmup_steps` does."""
    return math.ceil(total_steps * warmup) if warmup < 1 else int(warmup)


def gradient_norm(model: torch.nn.Module) -> torch.Tensor:
    """Return the 2-norm of all gradients, shape (), without changing them."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def decayed_names(model: torch.nn.Module) -> set[str]:
    """Return the names of the parameters that transformers' Trainer decays.

    These are `Trainer.get_decay_parameter_names`, whose module also imports datasets and pandas.
    """
    from transformers.trainer_pt_utils import get_parameter_names

    return set(get_parameter_names(model, [torch.nn.LayerNorm], _NOT_DECAYED))
