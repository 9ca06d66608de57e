"""Untrusted run directories: bisum does not write through links or wait for pipes."""

import os
import shutil

import pytest


def link(path, target):
    if path.exists():
        shutil.move(path, target)
    else:
        target.write_text("kept")
    path.symlink_to(target)


def pipe(path, target):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    os.mkfifo(path)


OWN = [
    *("run.json", "metrics.jsonl", "train.log", "tracker.log", "tracked.jsonl", ".lock", "predictions", "checkpoints"),
    *("plots", "wandb", ".hydra", "predictions/validation-epoch-1.jsonl", "checkpoints/epoch-2"),
    *("checkpoints/epoch-2/manifest.json", "checkpoints/epoch-2/state.json"),
]


@pytest.mark.parametrize("change", [link, pipe])
@pytest.mark.parametrize("name", OWN)
def test_resuming_refuses_links_and_pipes(change, name, trained, tmp_path, call_bisum, one_line):
    run = shutil.copytree(trained("trainer=accelerate"), tmp_path / "run")
    before = (run / "run.json").read_bytes()
    target = tmp_path / "elsewhere"
    change(run / name, target)
    line = one_line(call_bisum("resume=run", "trainer.epochs=3"))
    assert f"run/{name}' is " in line
    if name != "run.json":
        assert (run / "run.json").read_bytes() == before


def test_new_run_does_not_write_through_a_link(small, tmp_path, call_bisum, one_line):
    (tmp_path / "run").mkdir()
    link(tmp_path / "run/train.log", tmp_path / "elsewhere")
    line = one_line(call_bisum(*small, "hydra.run.dir=run"))
    assert line.startswith("bisum: hydra.run.dir: 'run/train.log' is a link")
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_link_in_place_of_a_partial_file_is_replaced(trained, tmp_path, call_bisum):
    run = shutil.copytree(trained("trainer=accelerate"), tmp_path / "run")
    link(run / ".run.json.partial", tmp_path / "elsewhere")
    assert call_bisum("resume=run", "trainer.epochs=3", "trainer.max_steps=33").code == 0
    assert (tmp_path / "elsewhere").read_text() == "kept"
