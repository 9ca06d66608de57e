"""debug=overfit: one batch is memorized with any backend, model and other settings."""

import shutil

import pytest

import bisum
from bisum.runs.checkpoints import checkpoints_in

ARGUMENTS = [
    "debug=overfit",
    "corpus.max_train_rows=64",
    "corpus.max_eval_rows=8",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.dropout=0.3",
    "model.max_document_tokens=32",
    "model.max_summary_tokens=40",
    "evaluation.shown_summaries=0",
    "trainer.batch_size=4",
    "trainer.learning_rate=1e-2",
    "trainer.log_every=1",
    "hardware=cpu",
]


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """The run directory for arguments, trained once."""
    done = {}

    def run(*arguments):
        if arguments not in done:
            done[arguments] = tmp_path_factory.mktemp("overfit") / "run"
            bisum.train(bisum.compose([*ARGUMENTS, *arguments]), done[arguments])
        return done[arguments]

    return run


def log(directory):
    return (directory / "train.log").read_text("utf-8")


@pytest.mark.parametrize(
    ("backend", "arguments"),
    [("accelerate", ()), ("seq2seq_trainer", ("trainer.gradient_accumulation=2", "trainer.patience=1"))],
)
def test_loss_falls_to_the_limit_and_summaries_match_the_references(backend, arguments, overfitted, read):
    directory = overfitted(f"trainer={backend}", *arguments)
    record, losses = read.record(directory), read.series(directory, "train/loss")
    rows = 8 if arguments else 4
    found = record["overfit"]
    assert (found["rows"], found["steps"]) == (rows, len(losses))
    assert (found["first_loss"], found["loss"]) == (pytest.approx(losses[0]), pytest.approx(losses[-1]))
    assert losses[-1] < 0.01 <= min(losses[:-1])
    assert 20 < len(losses) < 500
    for scores, prefix in ((record["last"], "eval"), (record["test"], "test")):
        assert scores[f"{prefix}/rougeL"] > 95
        assert scores[f"{prefix}/loss"] < 0.02
    line = f"overfit: the loss of one batch of {rows} rows fell from {losses[0]:.3g} to {losses[-1]:.3g} in "
    assert f"{line}{len(losses)} steps; ROUGE-L {record['last']['eval/rougeL']:.1f} on the batch itself" in log(
        directory
    )
    assert "warning" not in log(directory)


def test_both_backends_and_all_splits_use_the_same_batch(overfitted, read):
    one, other = overfitted("trainer=accelerate"), overfitted("trainer=seq2seq_trainer", "trainer.max_steps=20")
    assert read.series(other, "train/loss") == pytest.approx(read.series(one, "train/loss")[:20], rel=1e-3)
    counts = read.record(one)["data"]["rows"]
    assert counts["train"] == counts["validation"] == counts["test"]
    assert {language: count["kept"] for language, count in counts["train"].items()} == {"en": 2, "es": 2}


def test_batch_larger_than_the_corpus_is_the_whole_corpus(read, tmp_path, call_bisum):
    done = call_bisum(*ARGUMENTS, "corpus.max_train_rows=3", "trainer.max_steps=2", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert "> overfit: one batch of 3 rows" in done.out
    assert "; train has only 3 rows; a full batch has 4" in done.out
    assert read.record(tmp_path / "run")["overfit"]["rows"] == 3


def test_loss_above_the_limit_ends_with_one_warning(read, tmp_path, call_bisum):
    arguments = ["trainer.max_steps=3", "trainer.label_smoothing=0.1", "trainer.learning_rate=1e-6"]
    done = call_bisum(*ARGUMENTS, *arguments, "log=quiet", "hydra.run.dir=run")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("> warning: ") == 1
    assert "in 3 steps, not below 0.01 (debug.overfit_loss)" in done.out
    for cause in ("trainer.learning_rate=1e-06", "trainer.max_steps=3", "trainer.label_smoothing=0.1"):
        assert cause in done.out
    assert read.record(tmp_path / "run")["status"] == "finished"


def test_truncated_summaries_are_reported(tmp_path, call_bisum):
    done = call_bisum(*ARGUMENTS, "model.max_summary_tokens=6", "hydra.run.dir=run")
    assert done.code == 0
    assert "> warning: overfit: the summaries differ from the references; 3 of them are cut at " in done.out


def test_killed_run_resumes_to_the_same_numbers(overfitted, read, tmp_path, kill_at, call_bisum):
    directory, every = tmp_path / "run", ["trainer.save_every=8", "trainer=accelerate"]
    kill_at(directory, 12, *ARGUMENTS, *every)
    assert checkpoints_in(directory / "checkpoints")
    whole = overfitted("trainer=accelerate")
    assert call_bisum(f"resume={directory}").code == 0
    assert read.series(directory, "train/loss") == pytest.approx(read.series(whole, "train/loss"), rel=1e-6)
    assert read.record(directory)["overfit"] == pytest.approx(read.record(whole)["overfit"], rel=1e-6)


def test_resumed_finished_run_shows_the_same_result(overfitted, tmp_path, call_bisum):
    directory = shutil.copytree(overfitted("trainer=accelerate"), tmp_path / "run")
    done = call_bisum(f"resume={directory}")
    assert done.code == 0
    assert "this run is finished" in done.out
    assert "overfit: the loss of one batch of 4 rows fell from " in done.out
