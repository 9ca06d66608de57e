"""Runs that are not compared: one line for all pruned runs, and one per other run."""

import json

import pytest
from compared_runs import change, copied, record

from bisum import compare
from bisum.comparison.details import report_data
from bisum.comparison.excluded import pruned_line
from bisum.comparison.formats import as_data, as_markdown
from bisum.comparison.report import html_report
from bisum.comparison.tables import report
from bisum.display.console import Console

FEW = {"samples": 1000}
WHY = "eval/rougeL 12.3 at evaluation 2 is below the median of the trials before"


def prune(run):
    """Turn a finished run into one that was pruned before its test."""
    entries = {key: value for key, value in record(run).items() if key != "test"}
    (run / "run.json").write_text(json.dumps({**entries, "status": "pruned", "reason": WHY, "exit_code": 0}), "utf-8")
    return run


@pytest.fixture
def pruned(runs):
    """Runs with six pruned ones and a failed one."""
    for at in range(4, 10):
        prune(copied(runs / "3", runs / str(at)))
    change(copied(runs / "3", runs / "10"), status="failed", reason="out of memory")
    return runs


def line(folder):
    named = ", ".join(str(folder / str(at)) for at in range(4, 9))
    return f"6 pruned runs are not compared because training was stopped early: {named} and 1 more"


@pytest.mark.parametrize("split", ["auto", "validation"])
def test_pruned_runs_are_not_ranked(pruned, sweep, split):
    comparison, before = (compare(folder, split=split, **FEW) for folder in (pruned, sweep))
    assert [system.value for system in comparison.systems] == [system.value for system in before.systems]
    assert [system.seeds for system in comparison.systems] == [system.seeds for system in before.systems]


def test_pruned_runs_are_counted_and_named_in_one_line(pruned, monkeypatch, capfd):
    comparison = compare(pruned, **FEW)
    monkeypatch.setenv("COLUMNS", "1000")
    Console().print(*report(comparison), sep="\n")
    terminal, markdown = capfd.readouterr().out, as_markdown(comparison, None)
    assert pruned_line(comparison) == line(pruned)
    assert f"> {line(pruned)}\n" in terminal
    assert markdown.count(" pruned ") == 1
    for text in (terminal, markdown):
        assert "out of memory" in text
        assert WHY not in text


def test_json_lists_pruned_runs_with_their_reasons(pruned):
    others = json.loads(as_data(compare(pruned, **FEW), None))["others"]
    found = {other["run"]: other["reason"] for other in others if other["status"] == "pruned"}
    assert list(found) == [str(pruned / str(at)) for at in range(4, 10)]
    best = record(pruned / "4")["best"]
    assert set(found.values()) == {
        f"{WHY} Best so far: eval/rougeL {best['eval/rougeL']:.2f} at epoch {best['epoch']:g}."
    }


def test_report_has_a_note_instead_of_table_rows(pruned):
    comparison = compare(pruned, **FEW)
    html = html_report(report_data(comparison, None, "runs", ""))
    page = html.partition('<script type="application/json"')[0]
    assert line(pruned) in page
    assert "Runs without scores: 1<" in page
    assert WHY not in page


def test_comparison_of_a_single_pruned_run_has_no_systems(runs, capfd):
    comparison = compare(prune(runs / "0"), **FEW)
    assert comparison.systems == ()
    assert pruned_line(comparison) == (f"1 pruned run is not compared because training was stopped early: {runs / '0'}")
    Console().print(*report(comparison), sep="\n")
    assert "1 pruned run" in capfd.readouterr().out
    assert pruned_line(compare(runs / "1", **FEW)) is None


def test_csv_reports_pruned_runs_on_standard_error(pruned, monkeypatch, capfd):
    from bisum.commands.compare import run
    from bisum.config.checking import build
    from bisum.config.options import CompareOptions
    from bisum.interfaces.defaults import defaults_of

    run([str(pruned)], build(CompareOptions, {**defaults_of("compare"), **FEW, "format": "csv"}), "")
    assert capfd.readouterr().err.splitlines() == [
        f"bisum: '{pruned / '10'}' is not compared: failed: out of memory Best so far: eval/rougeL "
        f"{record(pruned / '10')['best']['eval/rougeL']:.2f} at epoch {record(pruned / '10')['best']['epoch']:g}.",
        f"bisum: {line(pruned)}",
    ]
