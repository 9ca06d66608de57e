"""What `generate` needs from every family: tokens that end a summary, n-grams that may not repeat."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import (
        GenerationConfig,
        LogitsProcessorList,
    )


def end_tokens(eos_token_id: int | list[int]) -> list[int]:
    """Return the ids of the tokens that end a summary, of which a generation config has one or several."""
    return eos_token_id if isinstance(eos_token_id, list) else [eos_token_id]


def fresh_ngrams(config: GenerationConfig, started: int) -> tuple[GenerationConfig, LogitsProcessorList]:
    """Return what keeps n-grams from coming twice in a summary, the `started` tokens before it not counted.

    transformers counts them: with `no_repeat_ngram_size=1` BART, which starts from its end token, could never end.
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
