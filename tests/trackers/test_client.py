"""A user's tracker, and failing trackers, which do not end, change or delay a training run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bisum import compose, train
from bisum.config.targets import ALLOW_VARIABLE
from bisum.trackers.client import sample
from bisum.trackers.run_name import run_name, system_name

CODE = """
import json, os, sys, time
from dataclasses import dataclass
from pathlib import Path

from bisum.interfaces.tracker import TrackedRun, Tracker


class Notebook(TrackedRun):
    def __init__(self, run, ink):
        self.file = Path(run.directory, "notebook.jsonl")
        self.write("start", name=run.name, job=run.job, seed=run.config["seed"], ink=ink, resumed=run.resumed)
        self.report = {"id": run.id, "view": "read \\x07the notebook\\x1b[0m"}

    def write(self, what, **values):
        with self.file.open("a") as file:
            print(json.dumps([what, values]), file=file)

    def log(self, number, metrics, tables, histograms):
        self.write("log", number=number, metrics=metrics)

    def finish(self, status):
        self.write("finish", status=status)


@dataclass(frozen=True, kw_only=True)
class InNotebook(Tracker):
    ink: str

    def start(self, run):
        return Notebook(run, self.ink)


class Bad(Notebook):
    def __init__(self, run, fault):
        self.fault = fault
        super().__init__(run, fault)
        if fault == "fails in start":
            raise ValueError("no paper")
        if fault == "exits in start":
            sys.exit(3)
        if fault == "sleeps in start":
            time.sleep(3600)

    def log(self, *arguments, **named):
        if self.fault == "fails in log":
            raise ValueError("no paper\\n\\x1b[31mat\\x9b all")
        if self.fault == "exits in log":
            os._exit(3)
        if self.fault == "sleeps in log":
            time.sleep(3600)
        if self.fault == "prints garbage":
            print("{]" * 100000, flush=True)
            os.write(1, b"\\xff\\xfe")
            input()

    def finish(self, status):
        if self.fault == "sleeps in finish":
            time.sleep(3600)
        super().finish(status)


@dataclass(frozen=True, kw_only=True)
class Badly(Tracker):
    fault: str

    def start(self, run):
        return Bad(run, self.fault)
"""

YAML = "defaults: [_base]\n_target_: diary.{}\n"


@pytest.fixture
def tracker(tmp_path, monkeypatch, small):
    """Compose a small run with a tracker from diary.py, outside bisum's own folders."""
    (tmp_path / "diary.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "conf/tracker").mkdir(parents=True)
    (tmp_path / "conf/tracker/notebook.yaml").write_text(YAML.format("InNotebook") + "ink: blue\n")
    (tmp_path / "conf/tracker/badly.yaml").write_text(YAML.format("Badly") + "fault: ???\n")
    monkeypatch.setenv(ALLOW_VARIABLE, "diary")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "diary", raising=False)

    def composed(*arguments):
        return compose([*small, "trainer.epochs=1", *arguments], config_dir=str(tmp_path / "conf"))

    return composed


@pytest.fixture(scope="module")
def untracked(small, tmp_path_factory):
    """The metrics of a run without tracker, and its seconds."""
    directory = tmp_path_factory.mktemp("run") / "run"
    config = compose([*small, "trainer.epochs=1", "tracker=none", "tracker.mode=online"])
    train(config, tmp_path_factory.mktemp("first") / "run")  # a first run, so that imports are not timed
    began = time.perf_counter()
    train(config, directory)
    assert not {path.name for path in directory.iterdir()} & {"wandb", "tracker.log", "tracked.jsonl"}
    return values(directory), time.perf_counter() - began


def values(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "train/examples_per_second"} for line in lines]


def test_user_tracker_records_the_run(tracker, tmp_path, capfd, read):
    train(tracker("tracker=notebook", "tracker.ink=red", "seed=7"), tmp_path / "run")
    first, *logged, last = read.lines(tmp_path / "run/notebook.jsonl")
    name = read.record(tmp_path / "run")["tracker"]["name"]
    assert first == ["start", {"name": name, "job": "train", "seed": 7, "ink": "red", "resumed": False}]
    assert name.startswith("tiny-")
    assert name.endswith("-s7")
    assert last == ["finish", {"status": "finished"}]
    lines = read.lines(tmp_path / "run/metrics.jsonl")
    assert [entry[1]["number"] for entry in logged] == list(range(len(lines)))
    for line, (_, given) in zip(lines, logged, strict=True):
        assert given["metrics"] | line == given["metrics"]
    out, err = capfd.readouterr()
    assert out.endswith("> read the notebook\n")
    assert err == ""


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("fails in start", "start failed: ValueError: no paper (see tracker.log)"),
        ("exits in start", "start failed: SystemExit: 3 (see tracker.log)"),
        ("sleeps in start", "still busy 2 s after the run; stopped (see tracker.log)"),
        ("fails in log", "log failed: ValueError: no paper at all (see tracker.log)"),
        ("exits in log", "the process exited with code 3 (see tracker.log)"),
        ("sleeps in log", "still busy 2 s after the run; stopped (see tracker.log)"),
        ("prints garbage", "log failed: EOFError: EOF when reading a line (see tracker.log)"),
        ("sleeps in finish", "still busy 2 s after the run; stopped (see tracker.log)"),
    ],
)
def test_failing_tracker_costs_one_warning(fault, message, tracker, tmp_path, untracked, capfd):
    metrics, seconds = untracked
    config = tracker("tracker=badly", f"tracker.fault={fault}", "tracker.finish_seconds=2")
    began = time.perf_counter()
    train(config, tmp_path / "run")
    assert time.perf_counter() - began < 3 * seconds + 2 + 5
    assert values(tmp_path / "run") == metrics
    out, err = capfd.readouterr()
    assert err == ""
    assert [line for line in out.splitlines() if "warning" in line] == [f"> warning: tracker: {message}"]
    assert not children()


def children():
    """Unreaped child processes, including zombies."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    lines = [Path(f"/proc/{child}/cmdline") for child in listed.read_text().split()] if listed.exists() else []
    return [
        path for path in lines if path.exists() and (path.read_text() == "" or "tracking_process" in path.read_text())
    ]


def test_table_rows_are_shared_by_runs_on_overlapping_rows():
    rows = [{"id": f"{number}", "language": "es" if number % 10 == 0 else "en"} for number in range(200)]
    some = sample(rows, 8)
    assert [row["language"] for row in some] == ["en", "es"] * 4
    assert sample(list(reversed(rows)), 8) == some
    fewer = sample([row for row in rows if row != some[3]], 8)
    assert [row for row in some if row not in fewer] == [some[3]]
    assert len(sample(rows, 500)) == 200
    assert len({row["id"] for row in sample(rows, 50)}) == 50
    assert sum(row["language"] == "es" for row in sample(rows, 50)) == 20


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "starter"),
        (["model=mt5_small", "trainer.learning_rate=5e-5", "seed=1"], "mt5_small-lr5e-05-s1"),
        (["model.checkpoint=/models/google/mt5-large/", "trainer.epochs=5"], "mt5-large-ep5"),
        (
            ["trainer=seq2seq_trainer", "filter=[long_titles,deduplicate]"],
            "starter-seq2seq_trainer-long_titles+deduplicate",
        ),
        (["tracker=none", "hydra.run.dir=x", "++generation.num_beams=4", "languages=[en]"], "starter-num_beams4-en"),
    ],
)
def test_run_is_named_by_its_overrides(arguments, name):
    assert run_name(compose(arguments).provenance) == name.replace("-en", "-languagesen")


@pytest.mark.parametrize(
    ("arguments", "system"),
    [
        (["seed=3"], "starter"),
        (["seed=3", "trainer.learning_rate=5e-5"], "starter-lr5e-05"),
        (["trainer.learning_rate=5e-5", "++seed=4"], "starter-lr5e-05"),
    ],
)
def test_runs_that_differ_only_in_the_seed_share_a_system_name(arguments, system):
    assert system_name(compose(arguments).provenance) == system


@pytest.mark.parametrize("option", ["wandb", "trackio", "none"])
def test_every_tracker_accepts_the_common_keys(option):
    arguments = ["mode=offline", "project=titles", "name=a", "group=b", "tags=[c]", "table_rows=0", "finish_seconds=1"]
    config = compose([f"tracker={option}", *(f"tracker.{argument}" for argument in arguments)])
    assert (config.tracker.mode, config.tracker.project, config.tracker.tags) == ("offline", "titles", ["c"])
    assert config.tracker.wanted == (option != "none")
    assert not compose([f"tracker={option}", "tracker.mode=disabled"]).tracker.wanted


def test_environment_fills_unset_keys(monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_RUN_GROUP", "42")
    assert compose([]).tracker.project == "mine"
    assert compose(["tracker.project=other"]).tracker.project == "other"


@pytest.mark.parametrize(
    ("environment", "mode", "expected"),
    [("offline", "auto", "offline"), ("dryrun", "auto", "offline"), ("disabled", "auto", "disabled"),
     ("disabled", "online", "online"), ("", "auto", "auto"), ("shared", "auto", "auto")],
)  # fmt: skip
def test_wandb_mode_applies_if_the_configuration_sets_none(environment, mode, expected, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", environment)
    tracker = compose([f"tracker.mode={mode}"]).tracker
    assert tracker.requested_mode == expected
    assert tracker.wanted == (expected != "disabled")


def test_process_ends_with_the_run_even_if_its_input_stays_open():
    """Other children of the run, such as data loaders, keep it open."""
    config = compose(["tracker=none"]).provenance.resolved["tracker"]
    facts = {"directory": ".", "id": "a", "name": "a", "system": "a", "profile": "rouge", "group": None, "tags": []}
    facts |= {"job": "train", "config": {}, "commit": None, "process": 1, "resumed": False, "kept": 0}
    start = {"tracker": config, "run": facts}
    process = subprocess.Popen(
        [sys.executable, "-m", "bisum.trackers.process"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
    )  # fmt: skip
    for message in (start, ["log", {"number": 0, "metrics": {}, "tables": {}, "histograms": {}}]):
        print(json.dumps(message), file=process.stdin, flush=True)
    assert process.poll() is None
    print(json.dumps(["finish", {"status": "failed"}]), file=process.stdin, flush=True)
    assert process.wait(20) == 0
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("tracker=wandbb", "tracker=wandbb: no such option, did you mean 'wandb'? (valid: none, trackio, wandb)"),
        ("tracker=null", "tracker=null: this group is required (valid: none, trackio, wandb)"),
        ("tracker.mode=on", "tracker.mode: expected one of auto, online, offline, disabled, not 'on'"),
        ("tracker.entiti=me", "tracker.entiti: no such key, did you mean 'entity'?"),
        ("tracker.finish_seconds=0", "tracker.finish_seconds: expected a number > 0, not 0"),
        ("tracker.checkpoints=last", "tracker.checkpoints: expected one of none, best, all, not 'last'"),
        ("tracker.table_rows=-1", "tracker.table_rows: expected a whole number >= 0, not -1"),
    ],
)
def test_invalid_option_is_reported(argument, message, call_bisum, one_line):
    assert message in one_line(call_bisum(argument))
