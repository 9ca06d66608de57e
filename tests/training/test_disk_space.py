"""Disk space: checkpoints are counted before training, and a full disk loses none of them."""

import resource

import pytest

from bisum import compose
from bisum.runs.checkpoints import checkpoints_in
from bisum.training.disk_space import checkpoints_at_once, saves_before_rows
from bisum.training.progress import count_saves


@pytest.mark.parametrize("step", [0, 3, 4, 8, 15])
@pytest.mark.parametrize("total", [5, 16, 17, 40])
@pytest.mark.parametrize(("evaluate_every", "save_every"), [(None, None), (None, 3), (6, 4), (5, 5), (100, 7)])
def test_remaining_checkpoints_are_counted(step, total, evaluate_every, save_every):
    every = [f"trainer.evaluate_every={evaluate_every or 'null'}", f"trainer.save_every={save_every or 'null'}"]
    settings = compose(every).trainer
    evaluates = [n for n in range(1, total + 1) if n % (evaluate_every or 8) == 0 or n == total]
    saves = {n for n in range(1, total + 1) if save_every and n % save_every == 0} | set(evaluates)
    assert count_saves(settings, min(step, total), total, 8) == sum(n > min(step, total) for n in saves)


@pytest.mark.parametrize(
    ("keep", "save_every", "saves", "existing", "at_once"),
    [
        ("null", "null", 7, 0, 7),
        ("1", "null", 7, 0, 3),  # the newest, the best and the one being written
        ("1", "5", 7, 0, 4),  # the two newest until an evaluation, the best and the one being written
        ("3", "null", 2, 0, 2),
        ("3", "null", 7, 4, 1),
    ],
)
def test_kept_checkpoints_the_best_and_the_next_exist_at_once(keep, save_every, saves, existing, at_once):
    settings = compose([f"trainer.keep_checkpoints={keep}", f"trainer.save_every={save_every}"]).trainer
    assert checkpoints_at_once(settings, saves, existing) == at_once


@pytest.mark.parametrize("given", ["evaluate_every=6", "save_every=6", "max_steps=6"])
def test_the_number_of_checkpoints_is_unknown_if_the_number_of_steps_decides(given):
    assert saves_before_rows(compose(["trainer.epochs=7"]).trainer) == 7
    assert saves_before_rows(compose(["trainer.epochs=7", f"trainer.{given}"]).trainer) is None


def test_too_little_space_is_reported_before_training(small, read, tmp_path, call_bisum, one_line):
    arguments = ["trainer.save_every=1", "trainer.keep_checkpoints=null", "trainer.epochs=10000"]
    arguments += ["model.architecture.d_model=1024", "model.architecture.d_ff=2048"]  # 160,000 of 200 MB
    done = call_bisum(*small, *arguments, "hydra.run.dir=run")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("bisum: hydra.run.dir: not enough disk space for 'run': 160,000 checkpoints of ")
    assert "trainer.keep_checkpoints" in line
    assert not (tmp_path / "run/checkpoints").exists()
    assert read.record(tmp_path / "run")["reason"] in line


def test_reported_size_matches_the_checkpoints(trained):
    run = trained("trainer=accelerate", "trainer.keep_checkpoints=null", "trainer.save_every=4")
    sizes = [sum(file.stat().st_size for file in path.iterdir()) for path in checkpoints_in(run / "checkpoints")]
    log = (run / "train.log").read_text("utf-8")
    (line,) = [line for line in log.splitlines() if "disk space: " in line]
    count, size = line.partition("disk space: ")[2].split(" checkpoints of ")
    assert int(count) == len(sizes) == 8
    assert float(size.split(" MB")[0]) * 1e6 == pytest.approx(max(sizes), rel=0.02)


def test_disk_filling_during_training_keeps_earlier_checkpoints(small, read, tmp_path, start, call_bisum):
    """A file larger than the limit cannot be written, as on a full disk."""
    run = tmp_path / "run"
    assert call_bisum(*small, "trainer.epochs=1", f"hydra.run.dir={run}").code == 0
    weights = (run / "checkpoints/epoch-1/model.safetensors").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (weights // 2, before[1]))
    try:
        done = call_bisum(f"resume={run}", "trainer.epochs=2")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert f"epoch-2 cannot be written to '{run}/checkpoints': " in line
    assert "File too large" in line
    assert "earlier checkpoints are intact: free some space, then bisum resume=" in line
    assert read.record(run)["status"] == "failed"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["epoch-1"]
    assert call_bisum(f"resume={run}").code == 0
    assert read.record(run)["status"] == "finished"
