"""The figure of the starter's training: the steps of consecutive runs are joined."""

import json

from bisum.assets.starter.make_curves import main, read_records


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
