"""The optimizer and learning-rate schedule, common to all backends."""

from __future__ import annotations

import torch
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers.optimization import Adafactor, get_scheduler

from bisum.interfaces.trainer import Trainer

_SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def build_optimizer(model: torch.nn.Module, settings: Trainer) -> Optimizer:
    """Return AdamW or Adafactor over two parameter groups, with and without weight decay.

    Biases and normalization weights (one dimension) decay only with `decay_all_parameters`; matrices always do.
    """
    decayed = [p for p in model.parameters() if p.requires_grad and (p.ndim > 1 or settings.decay_all_parameters)]
    others = [p for p in model.parameters() if p.requires_grad and not (p.ndim > 1 or settings.decay_all_parameters)]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adafactor":
        return Adafactor(groups, lr=settings.learning_rate, scale_parameter=False, relative_step=False)
    on_cpu = all(parameter.device.type == "cpu" for parameter in model.parameters())
    # On a CPU, PyTorch's default is a loop over the parameters, four times slower; elsewhere its default is good.
    return AdamW(groups, lr=settings.learning_rate, fused=on_cpu or None)


def build_schedule(optimizer: Optimizer, settings: Trainer, total_steps: int, step: int = 0) -> LambdaLR:
    """Return the learning-rate schedule over `total_steps` optimizer steps (warmup included), advanced to `step`."""
    warmup = settings.warmup * total_steps if settings.warmup < 1 else settings.warmup
    schedule: LambdaLR = get_scheduler(_SCHEDULES[settings.schedule], optimizer, round(warmup), total_steps)
    return schedule if step == 0 else LambdaLR(optimizer, schedule.lr_lambdas, last_epoch=step - 1)
