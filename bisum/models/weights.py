"""A checkpoint's weights, which must be complete and finite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bisum.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import (
        PretrainedConfig,
        PreTrainedModel,
    )


def load_weights(
    auto_model: Any, checkpoint: str, config: PretrainedConfig, options: dict[str, Any]
) -> PreTrainedModel:
    """Return the model that an auto class loads from a checkpoint.

    Raises:
        UserError: some weights are missing, and would stay random, or have the wrong shape.
    """
    model: PreTrainedModel
    model, report = auto_model.from_pretrained(
        checkpoint, config=config, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    if unfit := sorted([*report["missing_keys"], *(str(key[0]) for key in report["mismatched_keys"])]):
        raise UserError(
            f"model.checkpoint: the weights of '{checkpoint}' do not match its config.json: "
            f"{len(unfit)} missing or of the wrong shape, such as {unfit[0]}"
        )
    return model


def find_non_finite(tensors: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    """Return which tensor contains NaN or infinity, such as `head contains nan`; None if all are finite.

    Each tensor is read once, and its device is synchronized only at the end. Integer tensors are skipped.
    """
    import torch

    names, bounds = [], []
    for name, tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            names.append(name)
            bounds.append(torch.stack(torch.aminmax(tensor.detach())).float())
    together = torch.stack([bound.to(bounds[0].device) for bound in bounds]).cpu() if bounds else torch.empty(0, 2)
    for name, bound in zip(names, together, strict=True):
        if not bound.isfinite().all():
            return f"{name} contains {'nan' if bound.isnan().any() else 'inf'}"
    return None
