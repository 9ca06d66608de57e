"""A model with fewer tokens: its embeddings, its head, and the token ids in its configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel

_BANNED = ("suppress_tokens", "begin_suppress_tokens", "bad_words_ids")
"""Keys of a configuration with tokens that must not be generated, as a dropped piece cannot be."""

_SEPARATE = ("mt5", "umt5")
"""Kinds of models whose head is separate from the embedding although their configurations tie them."""


def cut_model(model: PreTrainedModel, kept: Sequence[int]) -> None:
    """Keep the rows of a model's embeddings and head for the ids `kept`, which are numbered from 0 in their order.

    Weights that are shared stay shared, and separate ones stay separate; transformers' `resize_token_embeddings` would
    overwrite mT5's head with its embedding.
    """
    new, size = {old: at for at, old in enumerate(kept)}, vocabulary_size(model.config)
    rows = torch.tensor(kept)
    owners = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    weights = {id(weight): weight for weight in _weights(owners) if weight.shape[0] == size}
    smaller = {at: _rows(weight, rows) for at, weight in weights.items()}
    for part in model.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            if id(parameter) in smaller:
                setattr(part, name, smaller[id(parameter)])
                _resize(part, len(kept), rows, new)
        for name, buffer in list(part.named_buffers(recurse=False)):
            if name == "final_logits_bias":
                setattr(part, name, buffer[..., rows.to(buffer.device)])
        own = vars(part)
        if isinstance(part, PreTrainedModel) and isinstance(own.get("padding_idx"), int):
            own["padding_idx"] = new[own["padding_idx"]]
        if own.get("vocab_size") == size:
            own["vocab_size"] = len(kept)
    for config in _configurations(model):
        _renumber(config, new, size)
    for tensor in chain(model.parameters(), model.buffers()):
        tensor.data = tensor.data.clone()  # a tensor in a memory-mapped checkpoint keeps the whole file in memory


def vocabulary_size(config: PretrainedConfig) -> int:
    """Return the number of rows of a model's embedding."""
    return int(getattr(config.get_text_config(decoder=True), "vocab_size", 0))


def has_separate_head(config: PretrainedConfig) -> bool:
    """Return whether a model's head is separate from its embedding, also if its configuration ties them."""
    is_separate = config.model_type in _SEPARATE or not getattr(config, "tie_word_embeddings", True)
    return is_separate or not getattr(config, "scale_decoder_outputs", True)  # T5 1.1, which its configuration ties


def stated_tokens(model: PreTrainedModel) -> set[int]:
    """Return the token ids in the configurations of a model, without those that must not be generated."""
    found = {at for config in _configurations(model) for at in _stated(vars(config))}
    return {at for at in found if 0 <= at < vocabulary_size(model.config)}


def _configurations(model: PreTrainedModel) -> list[PretrainedConfig | GenerationConfig]:
    """Return each configuration of a model, of its parts and of its generation once."""
    found: dict[int, PretrainedConfig | GenerationConfig] = {}

    def add(config: PretrainedConfig | GenerationConfig) -> None:
        if id(config) not in found:
            found[id(config)] = config
            for value in vars(config).values():
                if isinstance(value, PretrainedConfig):
                    add(value)

    for part in model.modules():
        if isinstance(part, PreTrainedModel):
            add(part.config)
    if isinstance(model.generation_config, GenerationConfig):
        add(model.generation_config)
    return list(found.values())


def _weights(owners: Sequence[PreTrainedModel]) -> Iterator[nn.Parameter]:
    """Yield the weights of the input embeddings and output layers of a model and its parts."""
    for owner in owners:
        for find in (owner.get_input_embeddings, owner.get_output_embeddings):
            try:
                layer = find()
            except NotImplementedError:  # a part that reads images
                continue
            if isinstance(weight := getattr(layer, "weight", None), nn.Parameter):
                yield weight


def _rows(weight: nn.Parameter, rows: torch.Tensor) -> nn.Parameter:
    """Return a new parameter with some rows of another."""
    return nn.Parameter(weight.detach()[rows.to(weight.device)].clone(), requires_grad=weight.requires_grad)


def _resize(layer: nn.Module, size: int, rows: torch.Tensor, new: Mapping[int, int]) -> None:
    """Set the attributes of a layer whose weight was cut."""
    if isinstance(layer, nn.Embedding):
        layer.num_embeddings = size
        layer.padding_idx = new[layer.padding_idx] if layer.padding_idx is not None else None
    elif isinstance(layer, nn.Linear):
        layer.out_features = size
        if layer.bias is not None:
            layer.bias = _rows(layer.bias, rows)


def _is_token(key: str) -> bool:
    return key.endswith(("_token_id", "_token_ids", "_token_index"))


def _stated(values: Mapping[str, Any]) -> Iterator[int]:
    """Yield the token ids among the values of a configuration."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _stated({str(name): item for name, item in value.items()})
        elif _is_token(key):
            yield from _flat(value)


def _flat(value: Any) -> Iterator[int]:
    if type(value) is int:
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)


def _renumber(config: PretrainedConfig | GenerationConfig, new: Mapping[int, int], size: int) -> None:
    """Set the token ids and the size of the vocabulary in a configuration."""

    def changed(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: changed(str(name), item) for name, item in value.items()}
        if key == "vocab_size" and value == size:
            return len(new)
        if key in _BANNED and isinstance(value, list | tuple):
            return [numbered(item) for item in value if new.keys() >= set(_flat(item))]
        return numbered(value) if _is_token(key) else value

    def numbered(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [numbered(item) for item in value]
        return new.get(value, value) if type(value) is int else value

    for key, value in list(vars(config).items()):
        config.__dict__[key] = changed(key, value)
