"""Definitions of recorded scores: the scale and, for scores computed from counts, the metric's aggregate function."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bisum.comparison.finding import FoundRun
from bisum.config.checking import build
from bisum.errors import UserError, reason
from bisum.evaluation.row_scores import aggregated
from bisum.interfaces.metric import SPEED_SETTINGS, Metric
from bisum.interfaces.score import ROUGE_SCORES, Score


@dataclass(frozen=True, kw_only=True)
class _Metrics:
    metric: dict[str, Metric]


def score_of_rows(runs: Sequence[FoundRun], name: str, counts: NDArray[np.float64] | None) -> Score:
    """Return the definition of a score with recorded row values.

    If the values are counts, the aggregate function comes from the configured metric, whose class must be bisum's own
    or allowed. `counts` are the counts of one row, or None.

    Raises:
        UserError: the record of the score is malformed, or the metric is not configured, not allowed or different.
    """
    if name in ROUGE_SCORES:
        return ROUGE_SCORES[name]
    if counts is None:
        described = next(run.record["scores"][name] for run in runs if name in run.record.get("scores", {}))
        try:
            return Score(described["description"], described["higher_is_better"], scale=float(described["scale"]))
        except ValueError as error:
            raise UserError(f"by: the recorded description of '{name}' is malformed: {error}") from error
    why = "no configured metric computes it"
    for key, node in _nodes(runs[0]).items():
        try:
            scores = build(_Metrics, {"metric": {key: node}}).metric[key].scores
        except UserError as error:
            why = str(error)
            continue
        if name in scores and scores[name].aggregate is not None:
            try:
                aggregated(scores[name], np.stack([counts, counts]))
            except Exception as error:
                why = reason(error)
                continue
            return scores[name]
    raise UserError(f"by: '{name}' cannot be computed from the recorded row counts: {why}")


def settings_of_metric(run: FoundRun, by: str) -> str:
    """Return the settings of the metric that computes a score, without speed settings; "" for ROUGE, which has none."""
    described = run.record.get("scores", {}).get(by) or {}
    node = _nodes(run).get(described.get("metric", ""))
    return "" if node is None else _without_speed(node)


def _nodes(run: FoundRun) -> Mapping[str, Any]:
    nodes = run.config.get("metric")
    return nodes if isinstance(nodes, Mapping) else {}


def _without_speed(node: Any) -> str:
    kept = (
        {key: value for key, value in node.items() if key not in SPEED_SETTINGS} if isinstance(node, Mapping) else node
    )
    return json.dumps(kept, sort_keys=True)
