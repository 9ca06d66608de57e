"""The ROUGE of a training's evaluations and of its baseline, as lines of the same chart."""

from __future__ import annotations

from collections.abc import Mapping

from bisum.interfaces.score import ROUGE_TYPES, rouge_name, split_score_name

Line = dict[float, float]
"""Scores by epoch."""


class Curves:
    """A chart for each ROUGE type, with lines of a run and of its baseline, overall and per language."""

    def __init__(self, run: str, baseline: str, profile: str) -> None:
        """Begin without points.

        Args:
            run: names the run's lines. It distinguishes them where a chart shows several runs.
            baseline: names the baseline's lines, such as `lead-3`.
            profile: the ROUGE profile, rouge or unicode.
        """
        self._systems = {"eval": run, "baseline": baseline}
        self.charts: dict[str, dict[str, Line]] = {rouge_name(profile, rouge_type): {} for rouge_type in ROUGE_TYPES}
        """Lines by their names, such as `lead-3 es`, by the score that the chart shows."""

    def add(self, metrics: Mapping[str, float]) -> bool:
        """Add the points of a line of `metrics.jsonl`; return whether it is an evaluation of the run."""
        grown = False
        for metric, value in metrics.items():
            prefix = metric.partition("/")[0]
            if prefix not in self._systems:
                continue
            score, language = split_score_name(metric)
            if score in self.charts:
                line = f"{self._systems[prefix]} {language}".rstrip()
                self.charts[score].setdefault(line, {})[metrics["epoch"]] = value
                grown = grown or prefix == "eval"
        return grown
