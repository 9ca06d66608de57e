"""Helpers for `generate` in all families: end tokens, a ban on repeated n-grams, and a first token for each row."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList


def end_tokens(eos_token_id: int | list[int]) -> list[int]:
    """Return the end tokens of a generation config, which states one id or a list, as a list."""
    return eos_token_id if isinstance(eos_token_id, list) else [eos_token_id]


def fresh_ngrams(config: GenerationConfig, started: int) -> tuple[GenerationConfig, LogitsProcessorList]:
    """Return the settings that ban repeated n-grams in a summary, ignoring the `started` tokens before it.

    transformers would count them: with `no_repeat_ngram_size=1`, BART could never end, since its start token is its end
    token.
    """
    from transformers import LogitsProcessor, LogitsProcessorList, NoRepeatNGramLogitsProcessor

    if not (size := config.no_repeat_ngram_size):
        return config, LogitsProcessorList()
    usual = NoRepeatNGramLogitsProcessor(size)

    class FreshNGrams(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            return usual(input_ids[:, started:], scores)

    config = copy(config)
    config.no_repeat_ngram_size = 0
    return config, LogitsProcessorList([FreshNGrams()])


def force_first(tokens: torch.Tensor, started: int) -> LogitsProcessor:
    """Return a processor that makes each row's own token the first after the `started` tokens of the decoder's prompt.

    transformers' `forced_bos_token_id` does the same with one token for all rows. `tokens` has the shape (rows,); the
    beams of a row are adjacent.
    """
    from transformers import LogitsProcessor

    class ForcedFirst(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if input_ids.shape[1] > started:
                return scores
            of_beams = tokens.to(scores.device).repeat_interleave(len(scores) // len(tokens))
            return scores.new_full(scores.shape, -float("inf")).scatter_(1, of_beams[:, None], 0)

    return ForcedFirst()
