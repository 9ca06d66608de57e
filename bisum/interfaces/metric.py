"""The interface of a metric besides ROUGE. Your own metric is a class with `compute`, named in `evaluation.metrics`:

evaluation:
  metrics: [{_target_: mine.Copied}]

`bisum.evaluation.evaluator` calls it, and records each number it returns as `eval/NAME`, `test/NAME` or
`baseline/NAME`. You must allow code from outside bisum: allow_targets=[mine].
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Metric(Protocol):
    """A score of a list of summaries."""

    def compute(self, predictions: list[str], references: list[str], languages: list[str]) -> dict[str, float]:
        """Return the scores by name.

        Args:
            predictions: one summary for each row.
            references: the reference of the same row.
            languages: the code of the row's language.

        Raises:
            UserError: the metric cannot score these rows; any other error is reported with the metric's name.
        """
        ...
