"""Metrics that a dashboard shows by default, and the lines of its charts."""

import pytest

from bisum.trackers.curation import is_shown
from bisum.trackers.curves import Curves

SHOWN = [
    "train/loss", "train/learning_rate", "eval/loss", "eval/gen_len", "eval/rouge1", "eval/es/rougeLsum", "test/rougeL",
    "test/es/rouge2", "eval/chrf", "eval/es/chrf", "difference/rougeL", "predictions/validation", "explore/words",
]  # fmt: skip
HIDDEN = [
    "step", "epoch", "eval/rougeL_low", "eval/es/rougeL_high", "eval/rougeL_precision", "test/es/rouge1_recall",
    "eval/chrf_rows", "difference/rougeL_better", "eval/unicode/rougeL", "eval/unicode/es/rouge1",
    "eval/unicode/es/rouge1_low", "baseline/rougeL", "baseline/es/chrf", "histograms/eval/gen_len",
    "charts/rougeL_table",
]  # fmt: skip


@pytest.mark.parametrize(("names", "shown"), [(SHOWN, True), (HIDDEN, False)])
def test_default_metrics_are_shown_and_others_hidden(names, shown):
    assert [name for name in names if is_shown(name, profile="rouge", has_charts=True) != shown] == []


def test_only_the_runs_profile_is_shown():
    profiles = {"eval/rougeL": "rouge", "eval/ar/rougeL": "rouge", "eval/unicode/ar/rougeL": "unicode"}
    for name, own in profiles.items():
        for profile in ("rouge", "unicode"):
            assert is_shown(name, profile=profile, has_charts=True) == (own == profile)
    assert is_shown("eval/chrf", profile="unicode", has_charts=True)


def test_baseline_is_shown_if_no_chart_shows_it():
    assert is_shown("baseline/es/rougeL", profile="rouge", has_charts=False)
    assert not is_shown("baseline/es/rougeL_low", profile="rouge", has_charts=False)


def test_charts_have_lines_for_run_and_baseline():
    curves = Curves("night", "lead-2", "unicode")
    baseline = {"baseline/unicode/rougeL": 18.0, "baseline/unicode/es/rougeL": 17.0, "baseline/rougeL": 1.0}
    assert not curves.add({"step": 0, "epoch": 0.0, **baseline})
    assert not curves.add({"step": 2, "epoch": 0.5, "train/loss": 3.0})
    assert curves.add({"step": 4, "epoch": 1.0, "eval/unicode/rougeL": 20.0, "eval/chrf": 30.0, **baseline})
    assert not curves.add({"step": 4, "epoch": 1.0, "test/unicode/rougeL": 21.0})
    assert list(curves.charts) == ["unicode/rouge1", "unicode/rouge2", "unicode/rougeL", "unicode/rougeLsum"]
    assert curves.charts["unicode/rougeL"] == {
        "lead-2": {0.0: 18.0, 1.0: 18.0},
        "lead-2 es": {0.0: 17.0, 1.0: 17.0},
        "night": {1.0: 20.0},
    }
