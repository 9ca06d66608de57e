"""Selection of the logged metrics that a dashboard shows by default."""

from __future__ import annotations

from bisum.interfaces.score import RESERVED_ENDS, ROUGE_SCORES, ROUGE_TYPES, rouge_name, split_score_name

HIDDEN_PREFIXES = ("histograms", "charts")
"""Prefixes of names that are never shown: histograms, and the tables behind the charts of `Curves`."""
_SCORE_PREFIXES = ("eval", "test", "baseline", "difference")


def is_shown(metric: str, *, profile: str, has_charts: bool) -> bool:
    """Return whether a dashboard shows a logged name by default.

    Training curves, loss, length, ROUGE F1 in one profile and the scores of the chosen metrics are shown, overall and
    per language. Values that accompany a score (`_low`, `_rows`, ...) and the axes are hidden.

    Args:
        metric: a name from `metrics.jsonl`, or the name of a table or histogram.
        profile: the ROUGE profile to show, rouge or unicode.
        has_charts: whether charts show the baseline, so that it needs no separate panels.
    """
    prefix, _, name = metric.partition("/")
    if not name or prefix in HIDDEN_PREFIXES or (prefix == "baseline" and has_charts):
        return False
    if prefix not in _SCORE_PREFIXES:
        return True
    score, _ = split_score_name(metric)
    if score.endswith(RESERVED_ENDS):
        return False
    return score not in ROUGE_SCORES or score in {rouge_name(profile, rouge_type) for rouge_type in ROUGE_TYPES}
