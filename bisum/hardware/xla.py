"""What an XLA device, such as a TPU, needs: barriers, seeds, weights that stay shared, a count of compilations.

XLA records operations and runs them at a barrier, as one program that is compiled for its shapes. Every function
here but `compilations` may be called for any device.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from transformers import PreTrainedModel


def sync(device: torch.device) -> None:
    """Set a barrier: run what an XLA device has been asked for; nothing waits for it."""
    if device.type == "xla":
        import torch_xla

        torch_xla.sync()


def seed(device: torch.device, value: int) -> None:
    """Seed the random numbers of the CPU and of `device`."""
    torch.manual_seed(value)
    if device.type == "xla":
        import torch_xla

        torch_xla.manual_seed(value)


def place(model: PreTrainedModel, device: torch.device) -> None:
    """Move a model to a device; weights that were one stay one, and others stay apart.

    On the way to and from an XLA device every module gets parameters of its own. transformers' `tie_weights` would join
    them as the configuration says, which for mT5 is wrong: it would overwrite the head, or leave the embeddings apart.
    On an XLA device no forward pass then needs to know what is in its inputs.
    """
    names = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    model.to(device)  # type: ignore[arg-type]
    for first, *others in names.values():
        for name in others:
            module, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(module), attribute, model.get_parameter(first))
    if device.type == "xla":
        model.set_attn_implementation("eager")
        model.register_forward_pre_hook(_prepare_mask, with_kwargs=True)


def _prepare_mask(_: torch.nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
    """Make the mask one that is added to scores: whether a plain one hides anything, transformers would look up."""
    mask = torch.where(inputs["attention_mask"].bool(), 0.0, torch.finfo(torch.float32).min)
    return args, {**inputs, "attention_mask": mask[:, None, None, :]}


def compilations() -> int:
    """Return the number of programs that XLA has compiled in this process."""
    from torch_xla.debug import metrics

    data = metrics.metric_data("CompileTime")
    return int(data[0]) if data else 0
