"""The figure of the starter's training: the steps of consecutive runs are joined."""

import json

import pytest

from bisum.assets.starter.make_curves import main, read_records
from bisum.errors import UserError


def write_run(folder, steps):
    folder.mkdir()
    records = [{"step": 0, "baseline/en/rougeL": 18.0, "baseline/es/rougeL": 19.0}]
    records += [{"step": step, "train/loss": 4.0, "eval/loss": 5.0, "eval/en/rougeL": 20.0} for step in steps]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)), "utf-8")
    return str(folder)


def test_steps_continue_from_run_to_run(tmp_path):
    runs = [write_run(tmp_path / "one", [10, 20]), write_run(tmp_path / "two", [10])]
    assert [record["step"] for record in read_records(runs)] == [0, 10, 20, 20, 30]
    main(runs, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"step": "x"}\n{"step": 1}', "line 1: .*step"),
        ("3\n[1]", "line 1: must be an object with a step"),
        ('{"step": 3, "epoch": 1}', "no losses or scores in metrics.jsonl"),
        ("", "has no steps in its metrics.jsonl"),
    ],
)
def test_metrics_without_a_curve_are_refused(content, message, tmp_path):
    (tmp_path / "metrics.jsonl").write_text(content, "utf-8")
    with pytest.raises(UserError, match=message):
        main([str(tmp_path)], tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
