"""Work between steps: logging, evaluation, selection of the best checkpoint, stopping and failing."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch

from bisum import compose, train
from bisum.errors import Failed, UserError
from bisum.training.session import Session


@pytest.fixture
def run_with(small, tmp_path):
    def run(*arguments):
        train(compose([*small, *arguments]), tmp_path / "run")
        return tmp_path / "run"

    return run


def evaluations(read, directory):
    return [line for line in read.metrics(directory) if "eval/loss" in line]


def test_logged_losses_are_means_of_their_steps(trained, read):
    """Every 3 steps and before each evaluation; at 16 steps per epoch, 15-16 and 30-32 are shorter or cut."""
    single = read.series(trained("trainer=accelerate"), "train/loss")
    lines = [
        line for line in read.metrics(trained("trainer=accelerate", "trainer.log_every=3")) if "train/loss" in line
    ]
    steps = [line["step"] for line in lines]
    assert steps == [3, 6, 9, 12, 15, 16, 18, 21, 24, 27, 30, 32]
    for line, start in zip(lines, [0, *steps], strict=False):
        mean = sum(single[start : line["step"]]) / (line["step"] - start)
        assert line["train/loss"] == pytest.approx(mean, rel=1e-5)
        assert line["epoch"] == pytest.approx(line["step"] / 16, abs=1e-6)


def test_gradient_norm_belongs_to_the_logged_step(trained, read):
    single = trained("trainer=accelerate")
    every_third = read.metrics(trained("trainer=accelerate", "trainer.log_every=3"))
    norms = dict(zip(range(1, 33), read.series(single, "train/grad_norm"), strict=True))
    logged = {line["step"]: line["train/grad_norm"] for line in every_third if "train/grad_norm" in line}
    assert logged == {step: norms[step] for step in (3, 6, 9, 12, 15, 16, 18, 21, 24, 27, 30, 32)}
    assert min(norms.values()) > 0
    free = read.series(trained("trainer=accelerate", "trainer.max_gradient_norm=null"), "train/grad_norm")
    assert free[:2] == list(norms.values())[:2]  # before clipping; the first step's rate is 0
    assert free[2:] != list(norms.values())[2:]


@pytest.mark.parametrize(("value", "shown"), [(math.inf, "inf"), (math.nan, "nan")])
def test_non_finite_gradient_norm_is_null_and_reported(value, shown, read, call_bisum, small, monkeypatch):
    end_step = Session.end_step

    def once(self, loss, rows, learning_rate, grad_norm):
        end_step(self, loss, rows, learning_rate, torch.tensor(value) if self.step == 2 else grad_norm)

    monkeypatch.setattr(Session, "end_step", once)
    done = call_bisum(*small, "trainer.max_steps=4", "hydra.run.dir=run")
    assert done.code == 0, done.err
    norms = read.series(Path("run"), "train/grad_norm")
    assert [norm is None for norm in norms] == [False, False, True, False]
    note = f"> step 3: the gradient norm is {shown}, recorded as null; a lower trainer.learning_rate may help"
    assert done.out.count(note) == 1


def test_backend_can_omit_the_gradient_norm(read, run_with, monkeypatch):
    end_step = Session.end_step
    monkeypatch.setattr(Session, "end_step", lambda self, *given: end_step(self, *given[:3]))
    directory = run_with("trainer.max_steps=2")
    assert len(read.series(directory, "train/loss")) == 2
    assert read.series(directory, "train/grad_norm") == []


@pytest.mark.parametrize("arguments", [(), ("trainer.evaluate_every=5", "trainer.log_every=3")])
def test_loss_shown_after_an_epoch_is_the_mean_of_its_steps(arguments, trained, read):
    """Not the loss of the last logged steps; also with evaluations every 5 steps, within an epoch."""
    single = read.series(trained("trainer=accelerate"), "train/loss")
    directory = trained("trainer=accelerate", *arguments)
    steps = [line["step"] for line in evaluations(read, directory)]
    log = (directory / "train.log").read_text("utf-8")
    shown = [float(loss) for loss in re.findall(r"^epoch [\d.]+: loss ([\d.]+) \(validation", log, re.MULTILINE)]
    means = [sum(single[a:b]) / (b - a) for a, b in zip([0, *steps], steps, strict=False)]
    assert shown == [pytest.approx(mean, abs=6e-4) for mean in means]


@pytest.mark.parametrize(
    ("metric", "better"), [("eval/loss", min), ("eval/rouge1", max), ("eval/unicode/es/rouge1", max)]
)
def test_best_checkpoint_has_the_best_metric(metric, better, read, run_with):
    directory = run_with("trainer.evaluate_every=5", f"trainer.best_metric={metric}", "trainer.keep_checkpoints=1")
    lines = evaluations(read, directory)
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25, 30, 32]
    sign = 1 if better is min else -1
    best = min(lines, key=lambda line: (sign * line[metric], line["eval/loss"]))
    record = read.record(directory)
    scores = {name: value for name, value in record["best"].items() if not name.startswith("difference/")}
    assert scores == {name: pytest.approx(value, abs=1e-5) for name, value in best.items()}
    apart = best["eval/es/rouge1"] - record["baseline"]["baseline/es/rouge1"]
    assert record["best"]["difference/es/rouge1"] == pytest.approx(apart, abs=1e-5)
    assert record["test"]["checkpoint"] == f"epoch-{best['step'] / 16:g}"
    assert record["last"]["step"] == 32
    left = {path.name for path in (directory / "checkpoints").iterdir()}
    assert left == {record["test"]["checkpoint"], "epoch-2"}


def test_training_stops_early_without_improvement(read, run_with):
    directory = run_with(
        "trainer.evaluate_every=3", "trainer.patience=2", "metric=[chrf]", "trainer.best_metric=eval/chrf"
    )
    lines = evaluations(read, directory)
    values = [line["eval/chrf"] for line in lines]
    best = values.index(max(values))
    assert len(values) == best + 3 < 11
    assert read.metrics(directory)[-2]["step"] == lines[-1]["step"]
    assert "stopping early" in (directory / "train.log").read_text("utf-8")


def test_max_steps_ends_with_an_evaluation(read, run_with):
    directory = run_with("trainer.max_steps=5")
    assert [line["step"] for line in evaluations(read, directory)] == [5]
    assert read.series(directory, "train/learning_rate")[-1] == pytest.approx(2e-2 / 4.5, rel=0.2)


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_nan_loss_fails_in_one_line(backend, read, tmp_path, call_bisum, small):
    arguments = [f"trainer={backend}", "trainer.learning_rate=1e30", "trainer.max_gradient_norm=null"]
    done = call_bisum(*small, *arguments, "trainer.log_every=4", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.code == 1
    assert len(done.err.strip().splitlines()) == 1
    assert "nan" in done.err
    assert "learning_rate" in done.err
    assert "Traceback" not in done.out + done.err
    record = read.record(tmp_path / "run")
    assert (record["status"], record["exit_code"]) == ("failed", 1)
    assert "the loss is nan" in record["reason"]
    log = (tmp_path / "run/train.log").read_text("utf-8")
    assert "Traceback (most recent call last)" in log
    assert "FloatingPointError" in log
    for line in (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_directory_that_contains_a_run_is_refused(trained, small, read, tmp_path):
    directory = shutil.copytree(trained("trainer=accelerate"), tmp_path / "run")
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(UserError, match="already contains a run"):
        train(compose(small), directory)
    assert before == {path: path.read_bytes() for path in before}


def test_unknown_best_metric_is_refused(small, tmp_path):
    with pytest.raises((UserError, Failed), match="best_metric"):
        train(compose([*small, "trainer.best_metric=eval/rouge7"]), tmp_path)
