"""Helpers for `generate` in all families: end tokens, and a ban on repeated n-grams."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import (
        GenerationConfig,
        LogitsProcessorList,
    )


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
