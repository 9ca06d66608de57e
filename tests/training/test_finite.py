"""Non-finite numbers: they are never saved, and the run continues from its last sound checkpoint."""

import json
import math
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

from bisum.models.weights import find_non_finite
from bisum.runs.files import digest
from bisum.training.finite import FiniteSteps
from bisum.training.session import Session

NAN = float("nan")


def checkpoints(directory):
    return sorted(path.name for path in (directory / "checkpoints").glob("*"))


def all_finite(directory):
    return all(
        find_non_finite(load_file(path).items()) is None for path in directory.glob("checkpoints/epoch-*/*.safetensors")
    )


@pytest.fixture
def corrupt(monkeypatch):
    """Corrupt training once, as `corrupt(STEP, change)`: `change(session, LOSS)` can return another loss."""

    def corrupt_once(step, change):
        end_step = Session.end_step

        def corrupted(self, loss, *rest):
            if self.step + 1 == step:
                changed = change(self, loss)
                loss = loss if changed is None else changed
            end_step(self, loss, *rest)

        monkeypatch.setattr(Session, "end_step", corrupted)
        return lambda: monkeypatch.setattr(Session, "end_step", end_step)

    return corrupt_once


def corrupt_a_weight(session, loss):
    with torch.no_grad():
        session.model.get_input_embeddings().weight[3, 1] = NAN


def corrupt_the_optimizer(session, loss):
    next(iter(session.optimizer.state.values()))["exp_avg_sq"].view(-1)[0] = math.inf


@pytest.fixture
def line(one_line):
    def only(done):
        assert done.code == 1
        (message,) = [line for line in done.err.splitlines() if line.startswith("bisum: ")]
        assert "Traceback" not in done.err
        return message

    return only


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
@pytest.mark.parametrize("keep", [1, 3])
def test_learning_rate_that_destroys_the_weights_fails(backend, keep, small, read, tmp_path, call_bisum, line):
    arguments = ["trainer.save_every=1", "trainer.log_every=10", "trainer.learning_rate=1e38", f"trainer={backend}"]
    done = call_bisum(*small, *arguments, f"trainer.keep_checkpoints={keep}", "hydra.run.dir=run")
    run = tmp_path / "run"
    message = line(done)
    assert "at step 3; continue from epoch-0.0625, the last sound checkpoint, with: bisum resume=run" in message
    assert (read.record(run)["status"], read.record(run)["exit_code"]) == ("failed", 1)
    assert checkpoints(run) == ["epoch-0.0625", "unsound-epoch-0.125"]  # its gradient is not finite
    assert all_finite(run)
    assert call_bisum("resume=run", "trainer.learning_rate=1e-4").code == 0
    assert read.record(run)["status"] == "finished"
    assert len(read.series(run, "train/learning_rate")) == 5  # at steps 10, 16, 20, 30 and 32
    assert all_finite(run)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (corrupt_a_weight, "shared.weight contains nan at step 20"),
        (corrupt_the_optimizer, "the optimizer's exp_avg_sq of shared.weight contains inf at step 20"),
        (lambda *_: torch.tensor(math.inf), "the loss is inf at step 20"),
        (lambda *_: torch.tensor(NAN), "the loss is nan at step 20"),
    ],
)
def test_non_finite_state_is_not_saved(change, what, small, read, corrupt, tmp_path, call_bisum, line):
    run = tmp_path / "run"
    undo = corrupt(20, change)
    message = line(call_bisum(*small, "trainer.log_every=100", "trainer.save_every=10", "hydra.run.dir=run"))
    assert message.startswith(f"bisum: FloatingPointError: {what}; continue from epoch-1, ")
    assert read.record(run)["reason"] in message
    assert checkpoints(run) == ["epoch-0.625", "epoch-1"]
    undo()
    assert call_bisum("resume=run", "trainer.learning_rate=1e-3").code == 0


def test_interrupted_run_does_not_save_non_finite_state(small, read, corrupt, tmp_path, call_bisum, line):
    def interrupt(session, loss):
        corrupt_a_weight(session, loss)
        session.run.interrupts.receive(signal.SIGTERM, None)

    corrupt(5, interrupt)
    assert "contains nan at step 5; no sound checkpoint exists; start again" in line(
        call_bisum(*small, "hydra.run.dir=run")
    )
    assert checkpoints(tmp_path / "run") == []
    assert read.record(tmp_path / "run")["status"] == "failed"


@pytest.fixture
def evaluated(monkeypatch):
    """Replace scores of evaluations, as `evaluated(NAME, {STEP: VALUE})`."""

    def replace(name, values):
        from bisum.training.scoring import Scoring

        validate = Scoring.validate

        def replaced(self, step, epoch, train_loss):
            scored = validate(self, step, epoch, train_loss)
            return {**scored, name: values[step]} if step in values else scored

        monkeypatch.setattr(Scoring, "validate", replaced)
        return lambda: monkeypatch.setattr(Scoring, "validate", validate)

    return replace


@pytest.mark.parametrize("value", [NAN, math.inf])
def test_non_finite_evaluation_loss_fails(value, small, read, evaluated, tmp_path, call_bisum, line):
    undo = evaluated("eval/loss", {32: value})
    done = call_bisum(*small, "trainer.save_every=10", "hydra.run.dir=run")
    assert f"eval/loss is {value} at step 32; continue from epoch-1, the last sound checkpoint" in line(done)
    run = tmp_path / "run"
    assert read.record(run)["last"]["step"] == 32  # the scores are recorded
    assert checkpoints(run) == ["epoch-1", "unsound-epoch-1.25", "unsound-epoch-1.875"]
    undo()
    assert call_bisum("resume=run", "trainer.learning_rate=1e-4").code == 0
    assert read.record(run)["status"] == "finished"


def test_non_finite_best_metric_is_never_the_best(small, read, evaluated, tmp_path, call_bisum):
    arguments = ["trainer.evaluate_every=8", "trainer.best_metric=eval/rouge1", "trainer.patience=3"]
    evaluated("eval/rouge1", {8: NAN, 24: math.inf})
    done = call_bisum(*small, *arguments, "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert "warning: eval/rouge1 is nan; this checkpoint cannot be the best" in done.out
    assert read.record(tmp_path / "run")["best"]["step"] in (16, 32)


def test_best_metric_that_is_never_finite_fails(small, evaluated, call_bisum, one_line):
    evaluated("eval/rouge1", {16: NAN, 32: NAN})
    done = call_bisum(*small, "trainer.best_metric=eval/rouge1", "hydra.run.dir=run")
    assert done.code == 2
    assert "trainer.best_metric: eval/rouge1 was not a finite number in any evaluation" in done.err


def test_non_finite_checkpoint_is_skipped_on_resume(small, trained, tmp_path, read, call_bisum):
    """Its manifest is valid: it was saved in this state."""
    run = shutil.copytree(trained("trainer=accelerate"), tmp_path / "run")
    newest = run / "checkpoints/epoch-2"
    weights = load_file(newest / "model.safetensors")
    weights["shared.weight"][0, 0] = NAN
    save_file(weights, newest / "model.safetensors", metadata={"format": "pt"})
    manifest = json.loads((newest / "manifest.json").read_text("utf-8"))
    manifest["model.safetensors"] = digest(newest / "model.safetensors")
    (newest / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    refused = call_bisum("summarize", f"run={newest}", "--", "A text.")
    assert refused.code == 2
    assert "epoch-2' has non-finite weights: shared.weight contains nan" in refused.err
    done = call_bisum("resume=run", "trainer.epochs=3")
    assert done.code == 0, done.err
    assert (
        "checkpoint epoch-2 is damaged (in model.safetensors, shared.weight contains nan); renamed to damaged-epoch-2"
        in done.out
    )
    assert [line["epoch"] for line in read.metrics(run) if "eval/loss" in line] == [1, 2, 3]


def test_steps_are_counted_up_to_the_first_non_finite_one():
    steps = FiniteSteps(4)
    for loss, norm in [(1.0, 2.0), (1.5, None), (2.0, math.inf), (2.0, 1.0)]:
        steps.add(torch.tensor(loss), None if norm is None else torch.tensor(norm))
    assert steps.checkpoint_step(8) == 5  # the weights of step 6 lead to the norm of step 7
    steps.reset(8)
    steps.add(torch.tensor(1.0), None)
    assert steps.checkpoint_step(9) == 8  # a step with a finite loss can still lead to non-finite weights


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([], None),
        ([torch.empty(0), torch.arange(3), torch.ones(2, dtype=torch.bfloat16)], None),
        ([torch.ones(2), torch.tensor([1.0, -math.inf])], "1 contains inf"),
        ([torch.tensor([math.inf, NAN]), torch.tensor(NAN)], "0 contains nan"),
        ([torch.tensor(math.inf, dtype=torch.bfloat16)], "0 contains inf"),
    ],
)
def test_non_finite_tensor_is_found_and_named(tensors, message):
    assert find_non_finite((str(number), tensor) for number, tensor in enumerate(tensors)) == message
