"""Support for XLA devices, such as TPUs: barriers, seeds, shared weights and the number of compilations.

XLA records operations and runs them at a barrier, as one program compiled for their shapes. All functions except
`compilations` work for any device.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from transformers import PreTrainedModel


def sync(device: torch.device) -> None:
    """Set a barrier: start the operations recorded for an XLA device, without waiting for them."""
    if device.type == "xla":
        import torch_xla

        torch_xla.sync()


def seed(device: torch.device, value: int) -> None:
    """Seed the random number generators of the CPU and of `device`."""
    torch.manual_seed(value)
    if device.type == "xla":
        import torch_xla

        torch_xla.manual_seed(value)


def place(model: PreTrainedModel, device: torch.device) -> None:
    """Move a model to a device; shared weights stay shared, and separate weights stay separate.

    Moving to or from an XLA device gives every module its own parameters. transformers' `tie_weights` would follow the
    configuration, which is wrong for mT5: it would overwrite the head, or leave the embeddings separate. On an XLA
    device, the attention is also changed so that no forward pass inspects the values of its inputs.
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
    """Turn the mask into one to add to the scores, since transformers would inspect the values of a plain mask."""
    mask = torch.where(inputs["attention_mask"].bool(), 0.0, torch.finfo(torch.float32).min)
    return args, {**inputs, "attention_mask": mask[:, None, None, :]}


def compilations() -> int:
    """Return the number of programs that XLA has compiled in this process."""
    from torch_xla.debug import metrics

    data = metrics.metric_data("CompileTime")
    return int(data[0]) if data else 0
