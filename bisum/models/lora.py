"""LoRA layers in a model of transformers, made by peft: adding, saving and loading."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from bisum.errors import UserError, one_line, printable

ALL_LINEAR: Literal["all-linear"] = "all-linear"
_PREFIX = "base_model.model."
"""Start of the names in peft's files."""
_NAME = "default"
"""peft's name of an adapter that is the only one."""
IMAGES = r".*\bvision_tower\b.*"
"""Names of the modules that encode images, which texts do not use, as in T5Gemma 2."""


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """The settings of LoRA layers, in the terms of `bisum.models.adapters.Lora`."""

    rank: int
    alpha: float
    dropout: float
    targets: Sequence[str] | Literal["all-linear"]
    """Names of linear layers, or their last parts."""
    dora: bool
    rslora: bool


def find_targets(model: PreTrainedModel, given: Sequence[str] | None, default: Sequence[str] | str) -> list[str]:
    """Return the names of the linear layers to adapt.

    Args:
        model: the model to adapt.
        given: a user's names; one that the model lacks is refused.
        default: a family's names for all its models, or "all-linear", used if none are given.

    Raises:
        UserError: one of the given names, or all the default ones, match no linear layer.
    """
    layers = linear_layers(model)
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in layers))
    if given is None and default == ALL_LINEAR:
        return ends
    wanted = default if given is None else given
    found = [target for target in wanted if any(_is_match(name, [target]) for name in layers)]
    missing = [target for target in wanted if target not in found]
    if missing and (given is not None or not found):
        raise UserError(
            f"adapter.targets: no linear layer of the model is named {printable(', '.join(missing))} "
            f"(valid: {', '.join(ends)})"
        )
    return found


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Return the names of a model's linear layers, except those for images, and its output layer.

    The output layer can be tied to the embedding.
    """
    head = model.get_output_embeddings()
    kinds = (nn.Linear, Conv1D)
    return [name for name, layer in _text_modules(model) if isinstance(layer, kinds) and layer is not head]


def _text_modules(model: PreTrainedModel) -> list[tuple[str, nn.Module]]:
    """Return the modules of a model with their names, without those for images."""
    return [(name, module) for name, module in model.named_modules() if not re.fullmatch(IMAGES, name)]


def _is_match(name: str, targets: Sequence[str]) -> bool:
    """Return whether peft adapts the layer of that name, given the targets."""
    return any(name == target or name.endswith(f".{target}") for target in targets)


def check_targets(model: PreTrainedModel, targets: Sequence[str] | str) -> None:
    """Raise UserError if targets in a file match no layer, or one that is not linear, such as an embedding."""
    if targets == ALL_LINEAR:
        return
    linear = set(linear_layers(model))
    matches = [name for name, _ in _text_modules(model) if _is_match(name, targets)]
    if not matches:
        raise UserError("target_modules matches no layer of the base")
    for name in matches:
        if name not in linear:
            raise UserError(f"target_modules adapts {name}, which is not a linear layer inside the model")


def add_lora(model: PreTrainedModel, settings: LoraSettings) -> None:
    """Freeze a model and add LoRA layers to it, whose product is 0 until it is trained.

    Their first matrices are drawn from torch's global generator.
    """
    from peft import LoraConfig

    reads_images = any(re.fullmatch(IMAGES, name) for name, _ in model.named_modules())
    transposed = any(isinstance(layer, Conv1D) for layer in model.modules())  # GPT-2's linear layers
    model.add_adapter(
        LoraConfig(
            task_type="SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM",
            r=settings.rank,
            lora_alpha=settings.alpha,  # type: ignore[arg-type] # a float works
            lora_dropout=settings.dropout,
            target_modules=settings.targets if isinstance(settings.targets, str) else list(settings.targets),
            exclude_modules=IMAGES if reads_images else None,
            use_dora=settings.dora,
            use_rslora=settings.rslora,
            fan_in_fan_out=transposed,
        ),
        _NAME,
    )


def has_lora(model: nn.Module) -> bool:
    """Return whether a model has LoRA layers."""
    return bool(getattr(model, "_hf_peft_config_loaded", False))


def describe_lora(model: PreTrainedModel) -> str:
    """Return a description of a model's LoRA layers, such as `LoRA rank 16 on q, v`."""
    config = lora_config(model)
    kind = "DoRA" if config.use_dora else "LoRA"
    return f"{kind} rank {config.r} on {', '.join(_in_order(model, config.target_modules))}"


def _in_order(model: PreTrainedModel, targets: Sequence[str]) -> list[str]:
    """Return targets, which peft keeps as a set, in the order of the model's layers."""
    names = [name for name, _ in model.named_modules()]

    def place(target: str) -> int:
        return next((at for at, name in enumerate(names) if _is_match(name, [target])), len(names))

    return sorted(targets, key=place)


def lora_config(model: PreTrainedModel) -> Any:
    """Return peft's configuration of a model's LoRA layers."""
    return model.peft_config[_NAME]


def lora_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of a model's LoRA layers, by the names in peft's files; they share the model's memory."""
    from peft import get_peft_model_state_dict

    # peft's default would look for the base's configuration, possibly on the hub.
    own = get_peft_model_state_dict(model, adapter_name=_NAME, save_embedding_layers=False)
    return {f"{_PREFIX}{name}": tensor for name, tensor in own.items()}


def load_lora(model: nn.Module, file: Path) -> None:
    """Load the weights of a model's LoRA layers.

    On the meta device, only their names and shapes are checked.

    Raises:
        UserError: the file cannot be read, or does not match the layers.
    """
    own = lora_weights(model)
    try:
        with safe_open(file, "pt") as stored, torch.no_grad():
            names = set(stored.keys())
            for name, tensor in own.items():
                if name not in names:
                    raise UserError(f"'{file}' does not match the model: {printable(name)} is missing")
                shape = tuple(stored.get_slice(name).get_shape())
                if shape != tuple(tensor.shape):
                    raise UserError(
                        f"'{file}' does not match the model: {printable(name)} has the shape {shape}, "
                        f"not {tuple(tensor.shape)}"
                    )
                if tensor.device.type != "meta":
                    tensor.copy_(stored.get_tensor(name))
            if unknown := names - own.keys():
                raise UserError(f"'{file}' does not match the model: {printable(min(unknown))} is unknown")
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{file}' cannot be read: {one_line(error)[:200]}") from error
