"""A resumed run uses the number of threads it began with."""

import json
import shutil

import pytest
import torch
from trained_model import trained

__all__ = ["trained"]


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def change(run, **entries):
    path = run / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **entries}), "utf-8")


def test_resumed_run_keeps_its_threads(run, call_bisum):
    own = torch.get_num_threads()
    assert json.loads((run / "run.json").read_text("utf-8"))["threads"] == own
    try:
        torch.set_num_threads(2)
        done = call_bisum("resume=run", "trainer.epochs=3", "tracker=none")
        assert done.code == 0, done.err
        assert torch.get_num_threads() == own
    finally:
        torch.set_num_threads(own)
    assert f"> threads: {own}, the number the run began with; this process would use 2" in done.out
    assert json.loads((run / "run.json").read_text("utf-8"))["threads"] == own


@pytest.mark.parametrize("edited", [0, 10**9, "2"])
def test_invalid_number_of_threads_is_refused(run, call_bisum, one_line, edited):
    change(run, threads=edited)
    assert "threads must be a whole number from 1 to 512" in one_line(call_bisum("resume=run"))
