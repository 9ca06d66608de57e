"""The few shapes of batches where every new shape is compiled anew, as on a TPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bisum.errors import UserError
from bisum.models.families import EncoderDecoder

if TYPE_CHECKING:
    from bisum.models.loading import LoadedModel

Lengths: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
"""Tokens of each row, shape (rows,)."""

_MULTIPLE = 8
"""Lengths are multiples of it: a TPU stores the rows of a matrix in tiles of eight."""


@dataclass(frozen=True)
class Shapes:
    """What the tokens of a batch are padded to."""

    document_lengths: tuple[int, ...]
    """Tokens, ascending; a batch takes the first that holds its longest document."""
    summary_length: int
    """Tokens of every batch's summaries."""

    def __str__(self) -> str:
        return f"documents of {', '.join(map(str, self.document_lengths))} tokens, summaries of {self.summary_length}"

    def document_length(self, longest: int) -> int:
        """Return the length of a batch whose longest document has `longest` tokens."""
        return next(length for length in self.document_lengths if length >= longest)


def choose_shapes(lengths: Iterable[Lengths], loaded: LoadedModel, buckets: int | None) -> Shapes | None:
    """Return the shapes for documents of these lengths, with at most `buckets` document lengths; None for None.

    Raises:
        UserError: the model has no encoder, whose output fixed shapes need.
    """
    if buckets is None:
        return None
    if not isinstance(loaded.family, EncoderDecoder):
        raise UserError("hardware.length_buckets: only encoder-decoder models run in fixed shapes, as a TPU needs them")
    chosen = (
        min(length, loaded.max_document_tokens) for length in choose_lengths(np.concatenate(list(lengths)), buckets)
    )
    return Shapes(tuple(sorted(chosen)), loaded.max_summary_tokens)


def choose_lengths(lengths: Lengths, count: int) -> list[int]:
    """Return at most `count` multiples of 8, the last at least the longest length, that need the least padding.

    Padded tokens are counted as if each row were padded to the first of them that holds it: one-dimensional
    clustering by dynamic programming, exact.
    """
    candidates, rows = np.unique(-(-lengths // _MULTIPLE) * _MULTIPLE, return_counts=True)
    bounds, rows_below = candidates.tolist(), [0, *np.cumsum(rows).tolist()]
    nothing: tuple[int, list[int]] = (0, [])
    best = {0: nothing}  # by the number of candidates covered: padded tokens and the lengths chosen
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
