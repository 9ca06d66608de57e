"""ROUGE of a training run's evaluations and its baseline, as lines of one chart."""

from __future__ import annotations

from collections.abc import Mapping

from bisum.interfaces.score import ROUGE_TYPES, rouge_name, split_score_name

Line = dict[float, float]
"""Scores by epoch."""


class Curves:
    """A chart per ROUGE type, with lines for a run and its baseline, overall and per language."""

    def __init__(self, run: str, baseline: str, profile: str) -> None:
        """Begin without points.

        Args:
            run: name of the run's lines, which distinguishes them in a chart of several runs.
            baseline: name of the baseline's lines, such as `lead-3`.
            profile: the ROUGE profile, rouge or unicode.
        """
        self._systems = {"eval": run, "baseline": baseline}
        self.charts: dict[str, dict[str, Line]] = {rouge_name(profile, rouge_type): {} for rouge_type in ROUGE_TYPES}
        """Lines by name, such as `lead-3 es`, for each score with a chart."""

    def add(self, metrics: Mapping[str, float]) -> bool:
        """Add the scores in a line of `metrics.jsonl`; return whether it is an evaluation of the run."""
        is_evaluation = False
        for metric, value in metrics.items():
            prefix = metric.partition("/")[0]
            if prefix not in self._systems:
                continue
            score, language = split_score_name(metric)
            if score in self.charts:
                line = f"{self._systems[prefix]} {language}".rstrip()
                self.charts[score].setdefault(line, {})[metrics["epoch"]] = value
                is_evaluation = is_evaluation or prefix == "eval"
        return is_evaluation
