"""Settings of generation, batches of similar length and generated summaries, without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bisum.config.options import GenerationOptions
from bisum.interfaces.family import TextReader
from bisum.models.decoding import end_tokens

_SHORTEST_IN_BATCH = 0.75
"""Length of a batch's shortest document, as a share of its longest: at most a quarter of a batch is padding."""


@dataclass(frozen=True)
class Summary:
    """A generated summary."""

    text: str
    tokens: int
    """Its length, as in `GeneratedBatch.lengths`; the sum over windows if their summaries are only joined."""
    at_limit: bool
    """Whether it, or one of the joined summaries, reached the token limit."""


GenerateTexts = Callable[[Mapping[str, Sequence[Any]]], Iterator[Mapping[int, Summary]]]
"""Yields the summaries of texts batch by batch, each by the index of its text, from the columns of `Family.encode`."""


def with_checkpoint_defaults(options: GenerationOptions, no_repeat_ngram_size: int) -> GenerationOptions:
    """Return decoding settings in which null is replaced by the checkpoint's own value."""
    if options.no_repeat_ngram_size is not None:
        return options
    return replace(options, no_repeat_ngram_size=no_repeat_ngram_size)


def decoding_settings(
    reader: TextReader, special: Mapping[str, Any], suppressed: Sequence[int], options: GenerationOptions
) -> dict[str, Any]:
    """Return the settings of a `GenerationConfig`.

    The length limits leave room for the tokens that a family forces before the summary, such as its language.

    Args:
        reader: the reader of the model, with its limits.
        special: the ids of the checkpoint's special tokens.
        suppressed: the ids that no summary contains.
        options: the settings, as `with_checkpoint_defaults` returns them.
    """
    forced = reader.family.forced_tokens
    beam_options = {"length_penalty": options.length_penalty, "early_stopping": options.early_stopping}
    return {
        **special,
        **(beam_options if options.num_beams > 1 else {}),
        "max_new_tokens": reader.max_summary_tokens + forced,
        "min_new_tokens": options.min_tokens + forced if options.min_tokens else None,
        "num_beams": options.num_beams,
        "no_repeat_ngram_size": options.no_repeat_ngram_size,
        "suppress_tokens": list(suppressed) or None,
        "do_sample": False,
        "use_cache": True,
    }


def similar_batches(
    document_lengths: np.ndarray[Any, Any], rows: Sequence[int], batch_size: int, *, of_one_shape: bool = False
) -> Iterator[list[int]]:
    """Yield rows of similar length, longest first: a lack of memory shows at once.

    A batch ends where its rows would become much shorter than its first, unless all batches are `of_one_shape` and cost
    the same. `document_lengths` has the length of each document in tokens.
    """
    shortest = 0.0 if of_one_shape else _SHORTEST_IN_BATCH
    order = np.array(rows, dtype=np.int64)
    order = order[np.argsort(-document_lengths[order], kind="stable")]
    lengths = document_lengths[order]
    start = 0
    while start < len(order):
        end = min(start + batch_size, np.searchsorted(-lengths, -shortest * lengths[start], side="right"))
        yield order[start:end].tolist()
        start = end


def summary_lengths(sequences: Sequence[Sequence[int]], config: Any) -> tuple[list[int], list[bool]]:
    """Count each sequence's tokens, up to and including its first end-of-sequence token; return whether it has one.

    `config` is a `GenerationConfig`, or has its `eos_token_id`.
    """
    ends = end_tokens(config.eos_token_id)
    firsts = [next((at for at, token in enumerate(sequence) if token in ends), None) for sequence in sequences]
    lengths = [len(ids) if first is None else first + 1 for ids, first in zip(sequences, firsts, strict=True)]
    return lengths, [first is not None for first in firsts]
