"""Fixed shapes of batches, for devices such as TPUs that compile a program for each new shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bisum.errors import UserError
from bisum.models.families.encoder_decoder import EncoderDecoder

if TYPE_CHECKING:
    from bisum.models.loading import LoadedModel

Lengths: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
"""Tokens of each row, shape (rows,)."""

_MULTIPLE = 8
"""Divisor of all lengths: a TPU stores the rows of a matrix in tiles of eight."""


@dataclass(frozen=True)
class Shapes:
    """The lengths to which batches are padded."""

    document_lengths: tuple[int, ...]
    """In tokens, ascending; a batch uses the first that fits its longest document."""
    summary_length: int
    """Tokens of the summaries in every batch."""

    def __str__(self) -> str:
        return f"documents of {', '.join(map(str, self.document_lengths))} tokens, summaries of {self.summary_length}"

    def document_length(self, longest: int) -> int:
        """Return the length of a batch whose longest document has `longest` tokens."""
        return next(length for length in self.document_lengths if length >= longest)


def choose_shapes(lengths: Iterable[Lengths], loaded: LoadedModel, buckets: int | None) -> Shapes | None:
    """Return shapes for documents of these lengths, with at most `buckets` document lengths; None if that is None.

    Raises:
        UserError: the model has no encoder, or generation needs more of it than its last hidden states.
    """
    if buckets is None:
        return None
    if not (isinstance(loaded.family, EncoderDecoder) and loaded.family.shares_states):
        raise UserError(
            "hardware.length_buckets: fixed shapes, as TPUs need, suit encoder-decoder models that generate from the "
            "encoder's states alone; use another device"
        )
    chosen = (
        min(length, loaded.max_document_tokens) for length in choose_lengths(np.concatenate(list(lengths)), buckets)
    )
    return Shapes(tuple(sorted(chosen)), loaded.max_summary_tokens + loaded.family.forced_tokens)


def choose_lengths(lengths: Lengths, count: int) -> list[int]:
    """Return at most `count` multiples of 8 that cover all lengths with the least padding.

    The cost assumes that each row is padded to the first multiple that fits it. The optimum is exact: it is
    one-dimensional clustering by dynamic programming.
    """
    candidates, rows = np.unique(-(-lengths // _MULTIPLE) * _MULTIPLE, return_counts=True)
    bounds, rows_below = candidates.tolist(), [0, *np.cumsum(rows).tolist()]
    nothing: tuple[int, list[int]] = (0, [])
    best = {0: nothing}  # number of candidates covered -> padded tokens and chosen lengths
    for _ in range(count):
        best = {0: nothing} | {
            end: min(
                (tokens + bounds[end - 1] * (rows_below[end] - rows_below[start]), [*chosen, bounds[end - 1]])
                for start, (tokens, chosen) in best.items()
                if start < end
            )
            for end in range(1, len(bounds) + 1)
        }
    return best[len(bounds)][1]
