"""Runs logged to trackio, read from its database."""

import json
import sqlite3
import sys

import pytest

from bisum import compose
from bisum.runs.metrics import read_metrics

pytest.importorskip("trackio", reason="the extra is not installed: pip install 'bisum[trackio]'")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("trackio")


@pytest.fixture(scope="module")
def directory(command, small, store, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    arguments = [
        "tracker=trackio",
        f"tracker.directory={store}",
        "tracker.group=night",
        "tracker.table_rows=4",
        "seed=5",
    ]
    assert command(*small, *arguments, f"hydra.run.dir={directory}") == 0
    return directory


def rows(store, run_id):
    """The logged rows of a run in order, as (step, values)."""
    with sqlite3.connect(store / "bisum.db") as database:
        query = "SELECT step, metrics FROM metrics WHERE run_id = ? ORDER BY id"
        return [(step, json.loads(values)) for step, values in database.execute(query, (run_id,))]


def check(store, directory, read):
    record, lines = read.record(directory), read_metrics(directory)
    *logged, last = rows(store, record["tracker"]["id"])
    assert len(logged) == len(lines)
    (baseline,) = (line for line in lines if "baseline/rouge1" in line)
    for line, (step, values) in zip(lines, logged, strict=True):
        baselines = {name: value for name, value in baseline.items() if name.startswith("baseline/")}
        expected = (baselines | line) if "eval/loss" in line else line
        plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
        assert {"step": step, **plain} == expected
    best = {f"best/{name}": value for name, value in record["best"].items()}
    assert last[1] == best | {name: value for name, value in record["test"].items() if name.startswith("difference/")}
    return logged


def test_every_line_is_logged_at_its_step(directory, store, read):
    logged = check(store, directory, read)
    tables = [values["predictions/validation"]["_value"] for _, values in logged if "predictions/validation" in values]
    assert len(tables) == 2
    assert [row["id"] for row in tables[0]] == [row["id"] for row in tables[1]]
    assert set(tables[0][0]) == {"id", "language", "category", "document", "reference", "prediction"}
    assert sum(logged[0][1]["histograms/baseline/rougeL"]["values"]) == 8


def test_configuration_and_group_are_logged(directory, store, read):
    record = read.record(directory)
    with sqlite3.connect(store / "bisum.db") as database:
        query = "SELECT run_name, config FROM configs WHERE run_id = ?"
        ((name, text),) = database.execute(query, (record["tracker"]["id"],)).fetchall()
    config = json.loads(text)
    assert name == record["tracker"]["name"]
    assert config["_Group"] == "night"
    assert config["choices"]["model"] == "tiny"
    assert config["system"] == name.removesuffix("-s5")
    assert {key: config[key] for key in record["config"]} == record["config"]


def test_resumed_run_replaces_its_earlier_version(directory, store, read, command):
    before = read.record(directory)["tracker"]["id"]
    assert command(f"resume={directory}", "trainer.epochs=3") == 0
    assert rows(store, before) == [] or before == read.record(directory)["tracker"]["id"]
    logged = check(store, directory, read)
    assert [values["epoch"] for _, values in logged if "eval/loss" in values] == [1, 2, 3]
    with sqlite3.connect(store / "bisum.db") as database:
        assert database.execute("SELECT count(DISTINCT run_id) FROM metrics").fetchone() == (1,)


def test_dashboard_command_is_shown(directory, store, read):
    view = read.record(directory)["tracker"]["view"]
    assert view == f"tracked with trackio.  View: TRACKIO_DIR={store} trackio show --project bisum"


def test_missing_extra_is_reported(call_bisum, one_line, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert "pip install 'bisum[trackio]'" in one_line(call_bisum("tracker=trackio"))
    assert compose(["tracker=none"]).tracker.mode == "auto"
