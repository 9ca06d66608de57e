"""Batches of rows of similar length, identical in every backend and after every resume."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from bisum.batches.collation import Collator
from bisum.batches.language_balance import LanguageBalance
from bisum.batches.tokenization import EncodedSplit
from bisum.config.options import HardwareOptions

POOL_BATCHES = 50
"""Batches per pool of random rows sorted by length: larger pools need less padding, smaller ones mix more."""


class SimilarLengthBatches(Sampler[list[int]]):
    """A sampler of batches, as lists of row indices, that depend only on (seed, epoch).

    All rows, or those of `balance`, are permuted and cut into pools. Each pool is sorted by document length and cut
    into batches, and the batches are permuted. The result is random batches that need little padding, similar to
    grouping by length in fairseq and transformers.
    """

    def __init__(
        self,
        lengths: np.ndarray[tuple[int], np.dtype[np.int64]],
        batch_size: int,
        seed: int,
        balance: LanguageBalance | None = None,
    ) -> None:
        super().__init__()
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.balance = balance
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) whose batches are yielded."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        rows = generator.permutation(len(self.lengths))
        if self.balance is not None:
            rows = self.balance.rows_of(self.epoch)[rows]
        pool = self.batch_size * POOL_BATCHES
        batches: list[list[int]] = []
        for start in range(0, len(rows), pool):
            by_length = sorted(rows[start : start + pool].tolist(), key=lambda row: int(self.lengths[row]))
            batches += [by_length[at : at + self.batch_size] for at in range(0, len(by_length), self.batch_size)]
        for index in generator.permutation(len(batches)):
            yield batches[index]


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
    ) -> None:
        super().__init__(
            split,
            batch_sampler=SimilarLengthBatches(split.documents.lengths, batch_size, seed, balance),
            collate_fn=collator,
            num_workers=hardware.data_loader_workers,
            pin_memory=hardware.pin_memory and hardware.device in ("auto", "gpu") and torch.cuda.is_available(),
            generator=torch.Generator(),
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0) of the next iteration."""
        assert isinstance(self.batch_sampler, SimilarLengthBatches)
        self.batch_sampler.set_epoch(epoch)
