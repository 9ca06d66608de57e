"""Choice of an epoch's rows if the languages' shares of the epoch differ from their shares of the rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bisum.corpus.corpus import largest_remainder

_Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


class LanguageBalance:
    """A sampler that gives a language with n rows a share of each epoch proportional to n^(1/T), at temperature T.

    This is the sampling of Arivazhagan et al. 2019, "Massively Multilingual Neural Machine Translation in the Wild",
    https://arxiv.org/abs/1907.05019; mT5's alpha (Xue et al. 2021, https://arxiv.org/abs/2010.11934) is 1/T. The shares
    are exact, by largest remainder, and an epoch has as many rows as the split. Each language's rows come from an
    endless sequence of their permutations, so no row repeats before all others have been used as often.
    """

    def __init__(self, languages: pa.ChunkedArray, temperature: float, seed: int) -> None:
        """Balance rows in these `languages` (strings) at a temperature of at least 1."""
        names = sorted(pc.unique(languages).to_pylist())
        self._rows: list[_Rows] = [np.flatnonzero(pc.equal(languages, name)) for name in names]
        quotas = largest_remainder([len(rows) ** (1 / temperature) for rows in self._rows], len(languages))
        self.quotas = dict(zip(names, quotas, strict=True))
        self._seed = seed

    def __str__(self) -> str:
        first, *others = (
            f"{name} {len(rows):,} rows, {100 * self.quotas[name] / sum(self.quotas.values()):.3g}%"
            for name, rows in zip(self.quotas, self._rows, strict=True)
        )
        return "; ".join([f"{first} of an epoch", *others])

    def rows_of(self, epoch: int) -> _Rows:
        """Return the ascending row indices of an epoch (from 0), which depend only on (seed, epoch)."""
        chosen = [
            rows[self._turns(number, len(rows), epoch * quota, quota)]
            for number, (rows, quota) in enumerate(zip(self._rows, self.quotas.values(), strict=True))
        ]
        return np.sort(np.concatenate(chosen))

    def _turns(self, language: int, rows: int, start: int, count: int) -> _Rows:
        """Return `count` items, from `start`, of a language's endless sequence of permutations of range(rows)."""
        first, skipped = divmod(start, rows)
        permutations = -(-(skipped + count) // rows)
        stream = np.random.PCG64(np.random.SeedSequence(self._seed, spawn_key=(language,)))
        keys = stream.advance(first * rows).random_raw((permutations, rows))  # one step of the stream per key
        bits = rows.bit_length()  # the lowest bits contain the row number, since sort is faster than argsort
        order = np.sort((keys >> bits << bits) | np.arange(rows, dtype=np.uint64), axis=1) & ((1 << bits) - 1)
        return order.ravel()[skipped : skipped + count].astype(np.int64)


def balance_languages(languages: pa.ChunkedArray, temperature: float, seed: int) -> LanguageBalance | None:
    """Return the balance of rows in these languages; None at temperature 1, when each epoch has every row once."""
    return None if temperature == 1 else LanguageBalance(languages, temperature, seed)
