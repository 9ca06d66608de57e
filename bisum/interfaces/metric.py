"""What scores summaries beside ROUGE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    pass


@runtime_checkable
class Metric(Protocol):
    """What a metric of one's own provides."""

    def compute(self, predictions: list[str], references: list[str], languages: list[str]) -> dict[str, float]:
        """Score all rows at once; row i has `predictions[i]`, `references[i]` and the code `languages[i]`."""
        ...
