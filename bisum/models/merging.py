"""Merging of LoRA layers into their base, which gives a plain model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from bisum.config.options import ModelOptions
from bisum.errors import UserError
from bisum.models.loading import load


def merge(model: PreTrainedModel) -> None:
    """Replace each LoRA layer of a model by its base layer, with the product of the two matrices added to the weight.

    Raises:
        UserError: a merged weight is not finite.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(model.named_modules()):
        if not isinstance(layer, BaseTunerLayer):
            continue
        try:
            layer.merge(safe_merge=True)
        except ValueError as error:
            problem = f"the merged weight of {name} is not finite; train with a lower trainer.learning_rate"
            raise UserError(f"adapter.merge: {problem}") from error
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False
    model.requires_grad_(True)


def write_merged(checkpoint: Path, folder: Path, options: ModelOptions) -> None:
    """Write an adapter, merged into its base, as a whole model with tokenizer and configuration.

    A base that was quantized in training is merged with the values that its 4-bit weights represent. The merged
    weights are float32.

    Args:
        checkpoint: the folder of the adapter.
        folder: the folder to write, which is created.
        options: the options of the model; `base` and `pickled_weights` apply to the adapter's base.

    Raises:
        UserError: the adapter or its base cannot be read, or a merged weight is not finite.
    """
    loaded = load(replace(options, checkpoint=str(checkpoint), revision=None), 0, "float32", plain=True)
    merge(loaded.model)
    folder.mkdir(parents=True, exist_ok=True)
    replace(loaded, base=None).save(folder)
