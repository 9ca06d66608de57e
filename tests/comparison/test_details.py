"""Report data from real runs, and its embedding in the page."""

import json
import re

import pytest

from bisum import compare
from bisum.comparison.breakdown import where
from bisum.comparison.details import report_data
from bisum.comparison.report import html_report
from bisum.runs.metrics import read_metrics


@pytest.fixture(scope="module")
def compared(sweep):
    comparison = compare(sweep, samples=1000)
    return comparison, report_data(comparison, where(comparison, None, 2), "a sweep", "bisum compare sweep")


def test_curves_contain_each_runs_validation_scores(compared):
    comparison, data = compared
    for system, shown in zip(comparison.systems, data["groups"][0]["systems"], strict=True):
        curves = {curve["run"]: curve["points"] for curve in shown["curves"]}
        expected = {
            str(run.run.directory): [
                [line["epoch"], line["eval/rougeL"]]
                for line in read_metrics(run.run.directory)
                if "eval/rougeL" in line
            ]
            for run in system.runs
            if not system.is_baseline
        }
        assert curves == expected
        assert all(len(points) == 2 for points in curves.values())


def test_language_intervals_contain_the_recorded_scores(compared):
    comparison, data = compared
    for system, shown in zip(comparison.systems, data["groups"][0]["systems"], strict=True):
        for language, value in system.by_language.items():
            found = shown["languages"][language]
            assert found["value"] == pytest.approx(value)
            assert found["low"] <= value <= found["high"]
            assert found["rows"] == 20


def test_every_row_has_the_summaries_of_all_systems(compared, sweep):
    comparison, data = compared
    (group,) = data["groups"]
    assert len(group["texts"]) == 40
    for system in comparison.systems:
        run = system.runs[0]
        name = run.lead if system.is_baseline else run.predictions
        lines = (run.run.directory / f"predictions/{name}.jsonl").read_text("utf-8").split("\n")
        by_id = {row["id"]: row for row in map(json.loads, filter(None, lines))}
        for row in group["texts"]:
            assert row["summaries"][str(system.number)] == by_id[row["id"]]["prediction"]
            assert (row["document"], row["reference"]) == (by_id[row["id"]]["document"], by_id[row["id"]]["reference"])
    best, other = comparison.systems[:2]
    assert group["systems"][1]["minus_best"]["difference"] == pytest.approx(other.value - best.value)


def test_page_embeds_all_data(compared):
    _, data = compared
    html = html_report(data)
    embedded = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1]
    assert json.loads(embedded) == json.loads(json.dumps(data))


@pytest.mark.parametrize(("score", "first_is_better"), [("rougeL", True), ("empty", False), ("words", None)])
def test_verdict_follows_the_direction_of_the_score(sweep, score, first_is_better):
    (group, *_) = compare(sweep, by=score, samples=1000).groups
    for pair in group.pairs:
        if pair.p_adjusted > 0.05:
            assert group.verdict(pair) == "not distinguishable"
            continue
        upper, lower = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
        expected = (
            f"{upper} is higher" if first_is_better is None else f"{upper if first_is_better else lower} is better"
        )
        assert group.verdict(pair) == expected
