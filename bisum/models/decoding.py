"""Helpers for `generate` in all families: end tokens, a ban on repeated n-grams, and a first token for each row."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList


def end_tokens(eos_token_id: int | list[int]) -> list[int]:
    """Return the end-of-sequence ids of a generation config, which contains one id or a list, as a list."""
    return eos_token_id if isinstance(eos_token_id, list) else [eos_token_id]


def ban_repeated_ngrams(config: GenerationConfig, prompt_length: int) -> tuple[GenerationConfig, LogitsProcessorList]:
    """Return settings and processors that ban repeated n-grams, ignoring the first `prompt_length` tokens.

    transformers would count these: with `no_repeat_ngram_size=1`, BART could never end, since it starts with its end
    token.
    """
    from transformers import LogitsProcessor, LogitsProcessorList, NoRepeatNGramLogitsProcessor

    if not (size := config.no_repeat_ngram_size):
        return config, LogitsProcessorList()
    ban = NoRepeatNGramLogitsProcessor(size)

    class NoRepeatedNGrams(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            return ban(input_ids[:, prompt_length:], scores)

    config = copy(config)
    config.no_repeat_ngram_size = 0
    return config, LogitsProcessorList([NoRepeatedNGrams()])


def force_first_token(tokens: torch.Tensor, prompt_length: int) -> LogitsProcessor:
    """Return a processor that forces each row's own token after the `prompt_length` tokens of the decoder's prompt.

    transformers' `forced_bos_token_id` forces one token for all rows. `tokens` has shape (rows,); the beams of a row
    are adjacent.
    """
    from transformers import LogitsProcessor

    class ForcedFirstToken(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if input_ids.shape[1] > prompt_length:
                return scores
            beam_tokens = tokens.to(scores.device).repeat_interleave(len(scores) // len(tokens))
            return scores.new_full(scores.shape, -float("inf")).scatter_(1, beam_tokens[:, None], 0)

    return ForcedFirstToken()
