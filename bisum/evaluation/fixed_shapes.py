"""Generation in fixed shapes, for devices such as TPUs that compile a program for each new shape."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch.nn import functional
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput


def generate_in_shape(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    encoder_states: torch.Tensor,
    decoder_starts: torch.Tensor,
    config: GenerationConfig,
    processors: LogitsProcessorList,
) -> torch.Tensor:
    """Generate as `model.generate` does, but with one shape of decoder inputs for all tokens.

    transformers runs the search (n-grams, lengths, beams) on the host. For every token, the ids so far are
    padded to the full length, and the causal mask hides the padding. The output embedding is applied only to the last
    id, whose position is a tensor: one program serves all tokens. There is no key-value cache.

    Args:
        model: an encoder-decoder model, on any device.
        input_ids: token ids of the documents, on the CPU, shape (rows, document tokens).
        attention_mask: mask of the documents, on the model's device, of the same shape.
        encoder_states: the encoder's output on the model's device, shape (rows, document tokens, model size).
        decoder_starts: the first decoder tokens of each row, on the CPU, shape (rows, start tokens).
        config: must set `max_new_tokens`.
        processors: logits processors, which the search calls on the CPU.

    Returns:
        Token ids on the CPU, without the start tokens, shape (rows, at most max_new_tokens).
    """
    started = decoder_starts.shape[1]
    length, position = started + int(config.max_new_tokens) - 1, torch.tensor([0])
    config = copy(config)
    config.use_cache = False

    def pad(
        _: torch.nn.Module, args: tuple[Any, ...], inputs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        ids = inputs["decoder_input_ids"].cpu()
        position[0] = ids.shape[1] - 1
        padded = functional.pad(ids, (0, length - ids.shape[1]), value=int(ids[0, 0]))
        inputs.pop("logits_to_keep", None)  # would keep the last position, which is padding
        return args, {**inputs, "decoder_input_ids": padded.to(model.device)}

    def select(_: torch.nn.Module, args: tuple[torch.Tensor]) -> torch.Tensor:
        return args[0].index_select(1, position.to(model.device))

    hooks = [
        model.register_forward_pre_hook(pad, with_kwargs=True),
        model.get_output_embeddings().register_forward_pre_hook(select),
    ]
    try:
        ids: torch.Tensor = model.generate(  # type: ignore[operator]
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_starts,
            encoder_outputs=BaseModelOutput(last_hidden_state=encoder_states),
            generation_config=config,
            logits_processor=processors,
        )
        return ids[:, started:]
    finally:
        for hook in hooks:
            hook.remove()
