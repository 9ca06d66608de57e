"""Filters that treat languages very differently, which is seldom meant."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bisum.corpus.corpus import CorpusReport

_LEAST_GAP = 0.05
_LEAST_FACTOR = 2
_LEAST_ERRORS = 2


def uneven_filters(report: CorpusReport) -> Iterator[str]:
    """Yield a line for each filter that drops a very different share of two languages, in all splits together.

    The shares differ by 5 points at least, by a factor of 2 at least, and by 2 standard errors (a test of two
    proportions, https://www.itl.nist.gov/div898/handbook/prc/section3/prc33.htm).
    """
    splits = list(report.splits.values())
    before = {language: sum(counts[language].loaded for counts in splits) for language in splits[0]}
    for step in next(iter(splits[0].values())).dropped:
        dropped = {language: sum(counts[language].dropped[step] for counts in splits) for language in before}
        shares = {language: dropped[language] / max(rows, 1) for language, rows in before.items()}
        most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
        if step != "sample" and _differ((dropped[most], before[most]), (dropped[least], before[least])):
            yield f"{step} drops {shares[most]:.0%} of {most}, but {shares[least]:.0%} of {least}"
        before = {language: rows - dropped[language] for language, rows in before.items()}


def _differ(most: tuple[int, int], least: tuple[int, int]) -> bool:
    """Tell whether the shares of two counts, each a part and its whole, are far apart."""
    (part, whole), (other_part, other_whole) = most, least
    if not whole or not other_whole:
        return False
    share, other = part / whole, other_part / other_whole
    pooled = (part + other_part) / (whole + other_whole)
    error = math.sqrt(pooled * (1 - pooled) * (1 / whole + 1 / other_whole))
    return share - other >= _LEAST_GAP and share >= _LEAST_FACTOR * other and share - other > _LEAST_ERRORS * error
