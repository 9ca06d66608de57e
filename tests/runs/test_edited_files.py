"""Edits in a run directory are reported in one line with file and entry; nothing else changes."""

import hashlib
import json
import os
import shutil
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file, save_file

from bisum.errors import UserError
from bisum.runs.metrics import mark_metrics, missing_metrics
from bisum.runs.record import read_record

WRONG = ["../../x", -3, 1.5, 10**30, None, True, [1], {"x": [1]}, float("nan")]


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained("trainer=accelerate"), tmp_path / "run")


def edit(path, key, value):
    """Set a dotted key of a JSON file, or drop it if the value is `...`."""
    values = json.loads(path.read_text("utf-8"))
    *parents, name = key.split(".")
    node = values
    for parent in parents:
        node = node.setdefault(parent, {})
    if value is ...:
        del node[name]
    else:
        node[name] = value
    path.write_text(json.dumps(values), "utf-8")


def contents(run):
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "train.log"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seconds", "x"),
        ("seconds", {"corpus": "x"}),
        ("best", [1]),
        ("best.epoch", "1"),
        ("best.eval/loss", "x"),
        ("best", ...),
        ("last", "x"),
        ("test.checkpoint", "../../x"),
        ("test.checkpoint", "/etc"),
        ("test", ...),
        ("data.fingerprint", 5),
        ("data.rows.test.en.kept", -1),
        ("tracker", "x"),
        ("tracker.id", "../x"),
        ("tracker.id", "a\u202eb\x1b"),
        ("tracker.name", 5),
        ("choices", ["x"]),
        ("choices.model", {}),
        ("status", 1),
        ("exit_code", "0"),
        ("config", []),
    ],
)
def test_edited_record_is_refused(key, value, run, call_bisum, one_line):
    edit(run / "run.json", key, value)
    before = contents(run)
    line = one_line(call_bisum("resume=run", "trainer.epochs=3"))
    assert "run.json': " in line
    assert key.rpartition(".")[0] in line
    assert contents(run) == before


def test_every_entry_of_a_record_is_checked(run):
    """No value raises an error other than UserError."""
    original = (run / "run.json").read_text("utf-8")
    keys = [key for key in json.loads(original) if key not in ("config", "versions", "command")]
    refused = set()
    for key in keys:
        for value in [..., *WRONG]:
            (run / "run.json").write_text(original, "utf-8")
            edit(run / "run.json", key, value)
            with suppress(UserError):
                read_record(run)
                continue
            refused.add(key)
    assert refused == set(keys)


@pytest.mark.parametrize("contents", [b"", b"\0" * 4096, b"\n", b"{", b"\xff\xfe", b"[" * 100_000])
def test_record_damaged_by_a_power_failure_is_refused(contents, run, call_bisum, one_line):
    (run / "run.json").write_bytes(contents)
    line = one_line(call_bisum("resume=run"))
    assert "run/run.json' " in line
    if not contents.strip(b"\0\n"):
        assert "restore a backup, or start again" in line


@pytest.mark.parametrize("line", [{"step": "x"}, {"step": -1}, {"step": None}, {"step": 1.5}, {"epoch": 1}, [1], 5])
@pytest.mark.parametrize("at", [0, -1])
def test_edited_line_of_metrics_is_refused(line, at, run, call_bisum, one_line):
    path = run / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines()
    lines[at] = json.dumps(line)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    before = contents(run)
    message = one_line(call_bisum("resume=run", "trainer.epochs=3"))
    assert f"metrics.jsonl, line {len(lines) if at else 1}: " in message
    assert contents(run) == before


def cut(path):
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:10]), "utf-8")


def zero(path):
    path.write_bytes(bytes(path.stat().st_size))


def change(path):
    path.write_text(path.read_text("utf-8").replace('"train/loss": ', '"train/loss": 1', 1), "utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "has only 10 of the 35 lines up to step 32"),
        (os.unlink, "is missing (0 of the 35 lines up to step 32)"),
        (lambda path: path.write_bytes(b""), "has only 0 of the 35 lines up to step 32"),
        (zero, "has only 0 of the 35 lines up to step 32"),
        (change, "has been changed up to step 32"),
    ],
)
def test_metrics_lost_since_a_checkpoint_are_reported(damage, message, run, call_bisum):
    damage(run / "metrics.jsonl")
    done = call_bisum("resume=run", "trainer.epochs=3")
    assert done.code == 0, done.err
    assert f"warning: run/metrics.jsonl {message}; the run continues without the rest" in done.out.replace("\n", " ")


def test_complete_metrics_are_not_mentioned(run, call_bisum):
    done = call_bisum("resume=run", "trainer.epochs=3")
    assert done.code == 0
    assert "metrics.jsonl" not in done.out
    again = call_bisum("resume=run", "trainer.epochs=4")  # the lines of the test split have been dropped
    assert again.code == 0
    assert "metrics.jsonl" not in again.out


def test_mark_matches_a_longer_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert missing_metrics(tmp_path, mark_metrics(tmp_path), 0) is None
    path.write_text('{"step": 1, "epoch": 0.5}\n')
    mark = mark_metrics(tmp_path)
    path.write_text('{"step": 1, "epoch": 0.5}\n{"step": 2, "epoch": 1.0}\n{"st')
    assert missing_metrics(tmp_path, mark, 1) is None
    path.write_text('{"step": 2, "epoch": 1.0}\n')
    assert "has only 0 of the 1 lines up to step 1" in missing_metrics(tmp_path, mark, 1)


def rewrite(checkpoint, name, change):
    """Change a file of a checkpoint, and update its manifest."""
    path = checkpoint / name
    change(path)
    manifest = json.loads((checkpoint / "manifest.json").read_text("utf-8"))
    manifest[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (checkpoint / "manifest.json").write_text(json.dumps(manifest), "utf-8")


STATE_KEYS = [
    *("progress", "progress.step", "progress.loss_sum", "progress.loss_steps", "progress.epoch_loss_sum"),
    *("progress.epoch_loss_steps", "progress.evaluated_step", "progress.best", "progress.best_checkpoint"),
    *("progress.evaluations_since_best", "progress.stopped", "schedule_step", "fixed", "optimizer"),
    *("metrics.lines", "metrics.bytes", "metrics.sha256"),
]


@pytest.mark.parametrize("key", STATE_KEYS)
@pytest.mark.parametrize("value", [..., [1], {"x": [1]}, True, "../../x"], ids=str)
def test_edited_state_is_refused(key, value, run):
    from bisum.training.progress import read_state

    if key in ("progress.stopped", "metrics.sha256") and value == "../../x":
        value = 5  # text is valid here
    checkpoint = run / "checkpoints/epoch-2"
    fixed = json.loads((checkpoint / "state.json").read_text("utf-8"))["fixed"]
    assert read_state(checkpoint, fixed, 16)[0].step == 32
    edit(checkpoint / "state.json", key, value)
    with pytest.raises(UserError, match=r"state\.json': ") as raised:
        read_state(checkpoint, fixed, 16)
    assert key.split(".")[0] in str(raised.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("state.json", lambda path: edit(path, "progress.best_checkpoint", "../x"), "progress.best_checkpoint must be"),
        ("state.json", lambda path: edit(path, "progress.step", 31), "progress.step must be the step of epoch-2"),
        ("state.json", lambda path: edit(path, "progress.loss_steps", 99), "progress.loss_steps must be at most"),
        ("state.json", lambda path: edit(path, "progress.more", 1), "progress.more is unknown"),
        ("state.json", lambda path: path.write_text("[]"), "must contain an object"),
        (
            "optimizer.safetensors",
            lambda path: save_file({**load_file(path), "0.exp_avg": torch.ones(3)}, path),
            "does not match the model: entries 0.*",
        ),
        (
            "optimizer.safetensors",
            lambda path: save_file({**load_file(path), "999.exp_avg": torch.ones(3)}, path),
            "does not match the model: unknown entry 999.exp_avg",
        ),
        ("optimizer.safetensors", lambda path: path.write_bytes(b"x" * 99), "cannot be read"),
    ],
)
def test_edited_checkpoint_with_a_matching_manifest_is_refused(name, change, message, run, call_bisum):
    rewrite(run / "checkpoints/epoch-2", name, change)
    before = contents(run)
    done = call_bisum("resume=run", "trainer.epochs=3")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert f"run/checkpoints/epoch-2/{name}' " in line.replace("':", "' :")
    assert message in line
    assert contents(run) == before
