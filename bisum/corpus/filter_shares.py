"""Languages that filters treat very differently or leave without rows, which is rarely intended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from bisum.corpus.corpus import CorpusReport

_LEAST_GAP = 0.05
_LEAST_FACTOR = 2
_LEAST_ERRORS = 2
_FEWEST_EXPECTED = 1
"""Minimum rows that the smaller language would lose, and keep, at the common share for a valid test
(Campbell 2007, https://doi.org/10.1002/sim.2832)."""


@dataclass(frozen=True)
class _Loss:
    """The rows of one language that a filter drops."""

    language: str
    dropped: int
    rows: int

    @property
    def share(self) -> float:
        return self.dropped / self.rows


def uneven_filters(report: CorpusReport) -> Iterator[str]:
    """Yield a line for each filter that drops a very different share of two languages, in all splits together.

    The shares differ by at least 5 points, by at least a factor of 2, and by 2 standard errors (a test of two
    proportions, https://www.itl.nist.gov/div898/handbook/prc/section3/prc33.htm). Of several such pairs of languages,
    the line names the one with the largest gap.
    """
    splits = list(report.splits.values())
    before = {language: sum(counts[language].loaded for counts in splits) for language in splits[0]}
    for step in next(iter(splits[0].values())).dropped:
        dropped = {language: sum(counts[language].dropped[step] for counts in splits) for language in before}
        losses = [_Loss(language, dropped[language], rows) for language, rows in before.items() if rows]
        pairs = [(most, least) for most, least in permutations(losses, 2) if _differ(most, least)]
        if pairs and step != "sample":
            most, least = max(pairs, key=lambda pair: pair[0].share - pair[1].share)
            what = "blank or missing texts drop" if step == "empty" else f"filter.{step} drops"
            yield (
                f"{what} {most.share:.0%} of the rows in {most.language}, "
                f"but {least.share:.0%} of those in {least.language}"
            )
        before = {language: rows - dropped[language] for language, rows in before.items()}


def absent_languages(report: CorpusReport) -> Iterator[str]:
    """Yield a line for each split that has rows in only some of the languages."""
    for split, counts in report.splits.items():
        absent = [language for language, count in counts.items() if not count.kept]
        if absent and len(absent) < len(counts):
            others = " and ".join(language for language in counts if language not in absent)
            yield f"{split} has no rows in {' and '.join(absent)}; its scores cover {others} only"


def _differ(most: _Loss, least: _Loss) -> bool:
    """Return whether two shares are far apart, the first above the second."""
    gap = most.share - least.share
    if gap < _LEAST_GAP or most.share < _LEAST_FACTOR * least.share:
        return False
    pooled = (most.dropped + least.dropped) / (most.rows + least.rows)
    expected = min(most.rows, least.rows) * min(pooled, 1 - pooled)
    error = math.sqrt(pooled * (1 - pooled) * (1 / most.rows + 1 / least.rows))
    return expected >= _FEWEST_EXPECTED and gap > _LEAST_ERRORS * error
