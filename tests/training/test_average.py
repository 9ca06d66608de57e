"""The average of the weights: its values, what is evaluated and saved, and resumed runs."""

import contextlib
import re

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from bisum.training.average import Average

DECAY = 0.9
AVERAGE = [f"trainer.average={DECAY}", "trainer.save_every=1", "trainer.keep_checkpoints=null", "trainer.epochs=1"]


def weights_by_step(run):
    """The saved weights after each step, by name."""
    folders = sorted((run / "checkpoints").iterdir(), key=lambda path: float(path.name.removeprefix("epoch-")))
    for folder in folders:
        yield load_file(folder / "model.safetensors")


def test_saved_weights_are_the_exponential_moving_average(trained):
    run, plain = trained("trainer=accelerate", *AVERAGE), trained("trainer=accelerate", *AVERAGE[1:])
    average = None
    for step, weights in enumerate(weights_by_step(plain), 1):
        if average is None:  # the first step's learning rate is 0, so these are the initial weights
            average = {name: weight.astype(np.float64) for name, weight in weights.items()}
        kept = min(DECAY, (1 + step) / (10 + step))
        average = {name: kept * old + (1 - kept) * weights[name] for name, old in average.items()}
    assert step == 16
    saved = load_file(run / "checkpoints/epoch-1/model.safetensors")
    assert saved.keys() == average.keys()
    for name, weight in saved.items():
        np.testing.assert_allclose(weight, average[name], atol=1e-6)
        assert not np.allclose(weight, weights[name])


def test_training_is_the_same_but_scores_are_those_of_the_average(trained, read, run_bisum, tmp_path):
    run, plain = trained("trainer=accelerate", *AVERAGE), trained("trainer=accelerate", *AVERAGE[1:])
    assert read.series(run, "train/loss") == read.series(plain, "train/loss")
    assert read.series(run, "eval/loss") != read.series(plain, "eval/loss")
    evaluated = run_bisum(
        "evaluate", f"{run}/checkpoints/epoch-1", "split=validation", "hydra.run.dir=scores", cwd=tmp_path
    )
    assert evaluated.code == 0, evaluated.err
    scores = read.record(tmp_path / "scores")["evaluation"]
    assert scores["eval/rougeL"] == pytest.approx(read.series(run, "eval/rougeL")[-1])


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_killed_run_resumes_to_the_same_average(backend, small, trained, read, kill_at, call_bisum, tmp_path):
    settings = [f"trainer.average={DECAY}", "trainer.save_every=4", "trainer.keep_checkpoints=3", f"trainer={backend}"]
    run, whole = tmp_path / "run", trained(*settings)
    kill_at(run, 27, *small, *settings)
    assert call_bisum(f"resume={run}").code == 0
    assert read.metrics(run) == read.metrics(whole)
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = (folder / "checkpoints/epoch-2" / name for folder in (run, whole))
        assert one.read_bytes() == other.read_bytes()


def test_a_run_says_that_it_evaluates_the_average(trained):
    run, plain = trained("trainer=accelerate", *AVERAGE), trained("trainer=accelerate", *AVERAGE[1:])
    line = "evaluated and saved: the moving average of the weights, decay at most 0.9"
    logs = [(directory / "train.log").read_text("utf-8") for directory in (run, plain)]
    assert [line in log for log in logs] == [True, False]


def test_an_average_cannot_begin_or_end_on_resume(trained, call_bisum):
    run = trained("trainer=accelerate", *AVERAGE)
    done = call_bisum(f"resume={run}", "trainer.average=null", "trainer.epochs=2")
    assert done.code == 2
    assert done.err == "bisum: resume: trainer.average cannot change from 0.9 to null; start a new run\n"


def test_memory_and_disk_space_include_the_average(trained, read):
    run, plain = trained("trainer=accelerate", *AVERAGE), trained("trainer=accelerate", *AVERAGE[1:])
    weights = 4 * read.record(run)["trained_parameters"]
    one, other = (read.record(directory)["estimate"]["optimizer"] for directory in (run, plain))
    assert one - other == weights
    sizes = []
    for directory in (run, plain):
        (size,) = re.findall(
            r"disk space: \d+ checkpoints of ([\d.]+) MB", (directory / "train.log").read_text("utf-8")
        )
        sizes.append(float(size) * 1e6)
        folder = directory / "checkpoints/epoch-1"
        assert sizes[-1] == pytest.approx(sum(path.stat().st_size for path in folder.iterdir()), rel=0.05)
    assert sizes[0] - sizes[1] == pytest.approx(weights, rel=0.05)


def test_an_interrupt_at_any_moment_leaves_weights_that_a_later_block_restores():
    model = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3)))
    optimizer = torch.optim.AdamW(model.parameters())
    average = Average(optimizer, 0.5)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 1
    updated = [weight.clone() for weight in model.parameters()]
    average.update(1)
    expected = [one.clone() for one in average.tensors]
    for moment in range(12):  # twice per weight
        assigned = iter(range(12))

        def tensors(values, moment=moment, assigned=assigned):
            for value in values:
                if next(assigned, None) == moment:
                    raise KeyboardInterrupt
                yield value

        assign = average._assign
        average._assign = lambda values, assign=assign, tensors=tensors: assign(tensors(values))
        with contextlib.suppress(KeyboardInterrupt), average.in_model():
            pass
        average._assign = assign
        with average.in_model():
            assert all(torch.equal(one, other) for one, other in zip(model.parameters(), expected, strict=True))
        assert all(torch.equal(one, other) for one, other in zip(model.parameters(), updated, strict=True))
