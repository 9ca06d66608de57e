"""Removal of a model's dropout."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def remove_dropout(model: nn.Module) -> None:
    """Set all probabilities of dropout and of skipped layers in a model to 0; do not change its configuration.

    Modules store them as `nn.Dropout` or, for functional dropout, as numbers such as BART's `activation_dropout`.
    """
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if isinstance(value, float) and ("dropout" in name or name == "layerdrop"):
                setattr(module, name, 0.0)
