"""Greedy decoding without work for finished rows."""

from __future__ import annotations

from typing import Any, cast

import torch
from transformers import (
    ForcedBOSTokenLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    GenerationConfig,
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    PreTrainedModel,
    SuppressTokensLogitsProcessor,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from bisum.models.decoding import end_tokens

_FREE_SHARE = 1 / 8
"""Share of finished rows from which removing them takes less time than decoding them."""


_SETTINGS = {
    *("max_new_tokens", "min_new_tokens", "no_repeat_ngram_size", "suppress_tokens"),
    *("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id"),
    *("num_beams", "do_sample", "use_cache", "transformers_version"),
}
"""Settings of `generate` that `generate_greedily` follows, or that do not matter to it."""


def is_plain_greedy(config: GenerationConfig) -> bool:
    """Return whether `generate_greedily` follows all settings; a family of one's own can have others."""
    chosen = config.to_diff_dict()
    return (
        config.num_beams == 1
        and not config.do_sample
        and not config.no_repeat_ngram_size
        and chosen.keys() <= _SETTINGS
    )


def generate_greedily(
    model: PreTrainedModel,
    states: torch.Tensor,
    mask: torch.Tensor,
    starts: torch.Tensor,
    config: GenerationConfig,
    processors: LogitsProcessorList,
    *,
    check_every: int | None = None,
) -> torch.Tensor:
    """Return the ids that `model.generate` returns with these settings.

    `generate` decodes every row of a batch until the last one ends; here, the batch shrinks as rows end.

    Args:
        model: an encoder-decoder model whose decoder needs only the encoder's last hidden states.
        states: these states, shape (rows, document tokens, model size).
        mask: mask of the documents, shape (rows, document tokens).
        starts: first tokens of the decoder, shape (rows, start tokens).
        config: settings of `generate`, with `num_beams` 1.
        processors: further processors, called as by `generate`.
        check_every: number of tokens between looks at the finished rows; None: one on a CPU, and eight on other
            devices, whose queue of work each look empties.

    Returns:
        Token ids with the start tokens, shape (rows, at most start tokens + max_new_tokens), padded after the end:
        up to `check_every` - 1 columns more than `generate` returns.
    """
    rows, started = starts.shape
    processors = LogitsProcessorList([*_processors(config, started, starts.device), *processors])
    ends = torch.tensor(end_tokens(config.eos_token_id), device=starts.device)
    check_every = check_every or (1 if starts.device.type == "cpu" else 8)
    pad = int(config.pad_token_id)
    found = starts.new_full((rows, started + int(config.max_new_tokens)), pad)
    found[:, :started] = starts
    active, is_finished = torch.arange(rows, device=starts.device), starts.new_zeros(rows, dtype=torch.bool)
    ids, new, cache = starts, starts, _empty_cache(model)
    for step in range(int(config.max_new_tokens)):
        logits = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=new,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
        chosen = processors(cast(Any, ids), cast(Any, logits.float())).argmax(dim=-1).masked_fill(is_finished, pad)
        found[active, started + step] = chosen
        is_finished = is_finished | torch.isin(chosen, ends)
        new = chosen[:, None]
        ids = torch.cat([ids, new], dim=1)
        if (step + 1) % check_every:
            continue
        left = (~is_finished).nonzero()[:, 0]
        if not len(left):
            return found[:, : started + step + 1]
        if len(left) <= (1 - _FREE_SHARE) * len(active):
            cache.batch_select_indices(left)
            states, mask, ids, new = states[left], mask[left], ids[left], new[left]
            active, is_finished = active[left], is_finished[left]
    return found


def _empty_cache(model: PreTrainedModel) -> EncoderDecoderCache:
    of_decoder = DynamicCache(config=model.config.get_text_config(decoder=True))
    return EncoderDecoderCache(of_decoder, DynamicCache())  # sliding windows apply only to the decoder's own tokens


def _processors(config: GenerationConfig, started: int, device: torch.device) -> LogitsProcessorList:
    """Return the processors that `generate` makes of the settings that bisum uses, in its order."""
    found = LogitsProcessorList()
    if config.min_new_tokens:
        ends = end_tokens(config.eos_token_id)
        found.append(MinNewTokensLengthLogitsProcessor(started, config.min_new_tokens, ends, device=str(device)))
    if config.forced_bos_token_id is not None:
        found.append(ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id))
    if config.forced_eos_token_id is not None:
        longest = started + int(config.max_new_tokens)
        found.append(ForcedEOSTokenLogitsProcessor(longest, config.forced_eos_token_id, device=str(device)))
    if config.suppress_tokens:
        found.append(SuppressTokensLogitsProcessor(config.suppress_tokens, device=str(device)))
    return found
