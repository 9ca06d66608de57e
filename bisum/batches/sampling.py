"""Batches of rows of similar length, identical in every backend and after every resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from bisum.batches.collation import Collator
from bisum.batches.language_balance import LanguageBalance
from bisum.batches.tokenization import EncodedSplit
from bisum.config.options import HardwareOptions
from bisum.errors import UserError

POOL_BATCHES = 50
"""Batches per pool of random rows sorted by length: larger pools need less padding, smaller ones mix more."""
_STEP = 1.1
"""Ratio of two document lengths that count as different in batches of a number of tokens."""
_Lengths: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]


class SimilarLengthBatches(Sampler[list[int]]):
    """A sampler of batches, as lists of row indices, that depend only on (seed, epoch).

    All rows, or those of `balance`, are permuted and cut into pools. Each pool is sorted by document length and cut
    into batches, and the batches are permuted. The result is random batches that need little padding, similar to
    grouping by length in fairseq and transformers.

    A batch has `batch_size` rows, or as many rows as fit `tokens`, each row padded to the longest document and the
    longest summary of the batch. In the second case, an epoch is one pool, sorted by document length in steps of 10%
    and within a step by summary length. Rows of equal keys are in random order, but the cuts depend on the keys alone,
    so all epochs have equally many batches.
    """

    def __init__(
        self,
        lengths: _Lengths,
        summary_lengths: _Lengths,
        batch_size: int,
        seed: int,
        balance: LanguageBalance | None = None,
        tokens: int | None = None,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.seed = seed
        self.balance = balance
        self.epoch = 0
        self.keys = lengths[None] if tokens is None else _keys(lengths, summary_lengths)
        self.cuts = None if tokens is None else _cuts(lengths, summary_lengths, self.keys, tokens)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) whose batches are yielded."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.keys.shape[1] // self.batch_size) if self.cuts is None else len(self.cuts) + 1

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        rows = generator.permutation(self.keys.shape[1])
        if self.balance is not None:
            rows = self.balance.rows_of(self.epoch)[rows]
        pool = self.batch_size * POOL_BATCHES if self.cuts is None else len(rows)
        batches: list[list[int]] = []
        for start in range(0, len(rows), pool):
            part = rows[start : start + pool]
            by_length = part[np.lexsort(self.keys[:, part])]
            cuts = range(self.batch_size, len(part), self.batch_size) if self.cuts is None else self.cuts
            batches += [batch.tolist() for batch in np.split(by_length, cuts)]
        for index in generator.permutation(len(batches)):
            yield batches[index]


def _keys(lengths: _Lengths, summary_lengths: _Lengths) -> np.ndarray[Any, Any]:
    """Return the keys to sort all rows by, the last one first, shape (2, rows)."""
    steps = (np.log(np.maximum(lengths, 1)) / np.log(_STEP)).astype(np.int64)
    # Summaries rise in one step and fall in the next, so the rows on both sides of a border are similar.
    return np.stack([np.where(steps % 2, -summary_lengths, summary_lengths), steps])


def _cuts(lengths: _Lengths, summary_lengths: _Lengths, keys: np.ndarray[Any, Any], tokens: int) -> list[int]:
    """Return where to cut all rows, sorted by `keys`, into batches of at most `tokens` padded tokens.

    A row counts with the longest document that has its keys, so the cuts suit every order of rows with equal keys.

    Raises:
        UserError: the longest row has more tokens.
    """
    if (most := int((lengths + summary_lengths).max())) > tokens:
        raise UserError(
            f"trainer.tokens_per_batch: {tokens:,} is less than the longest row, which has {most:,} tokens "
            "(document and summary); raise it, or lower model.max_document_tokens"
        )
    _, same, counts = np.unique(keys[::-1], axis=1, return_inverse=True, return_counts=True)
    longest = np.zeros(len(counts), np.int64)
    np.maximum.at(longest, same.ravel(), lengths)
    order = np.lexsort(keys)
    cuts: list[int] = []
    start = document = summary = 0
    for at, row in enumerate(order.tolist()):
        document, summary = max(document, int(longest[same.flat[row]])), max(summary, int(summary_lengths[row]))
        if (at + 1 - start) * (document + summary) > tokens and at > start:
            cuts.append(at)
            start, document, summary = at, int(longest[same.flat[row]]), int(summary_lengths[row])
    return cuts


class TrainingLoader(DataLoader[dict[str, torch.Tensor]]):
    """A loader of training batches. Its own generator keeps it from affecting the model's random numbers."""

    def __init__(
        self,
        split: EncodedSplit,
        collator: Collator,
        batch_size: int,
        seed: int,
        hardware: HardwareOptions,
        balance: LanguageBalance | None = None,
        tokens: int | None = None,
    ) -> None:
        lengths, summary_lengths = split.documents.lengths, split.labels.lengths
        super().__init__(
            split,
            batch_sampler=SimilarLengthBatches(lengths, summary_lengths, batch_size, seed, balance, tokens),
            collate_fn=collator,
            num_workers=hardware.data_loader_workers,
            pin_memory=hardware.pin_memory and hardware.device in ("auto", "gpu") and torch.cuda.is_available(),
            generator=torch.Generator(),
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) of the next iteration."""
        assert isinstance(self.batch_sampler, SimilarLengthBatches)
        self.batch_sampler.set_epoch(epoch)
