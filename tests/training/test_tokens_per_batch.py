"""Batches of a number of tokens: the same steps in both backends and after a kill, and a fixed number of steps."""

import pytest

from bisum import compose, train
from bisum.errors import UserError

BACKENDS = ("accelerate", "seq2seq_trainer")
TOKENS_MANY = ["trainer.tokens_per_batch=1800"]
TOKENS = ["trainer.tokens_per_batch=600", "trainer.gradient_accumulation=2", "trainer.save_every=3"]


def test_backends_take_the_same_steps(trained, read):
    one, other = (trained(f"trainer={name}", *TOKENS) for name in BACKENDS)
    losses = read.series(one, "train/loss")
    assert read.series(other, "train/loss") == pytest.approx(losses, rel=1e-4)
    assert read.series(other, "eval/loss") == pytest.approx(read.series(one, "eval/loss"), rel=1e-4)
    # Two epochs with equally many steps; the linear schedule reaches 0 after the last one.
    evaluated = [line["step"] for line in read.metrics(one) if "eval/loss" in line]
    assert evaluated == [len(losses) / 2, len(losses)]
    warmup = -(-len(losses) // 10)
    assert read.series(one, "train/learning_rate")[-1] == pytest.approx(2e-2 / (len(losses) - warmup))
    assert len(losses) < 2 * 64 / 8  # every batch fits seven of the longest rows, so steps have more than 8 rows


@pytest.mark.parametrize("backend", BACKENDS)
def test_killed_run_resumes_to_the_same_numbers(backend, kill_at, small, trained, read, tmp_path, call_bisum):
    whole = trained(f"trainer={backend}", *TOKENS)
    steps = len(read.series(whole, "train/loss"))
    directory = tmp_path / "run"
    kill_at(directory, 3 * steps // 4, *small, *TOKENS, f"trainer={backend}")  # in the middle of the second epoch
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(whole)


def test_memory_is_estimated_for_the_largest_of_all_batches(trained, read):
    few, many = (read.record(trained("trainer=accelerate", *given))["estimate"] for given in (TOKENS, TOKENS_MANY))
    assert few["weights"] == many["weights"]
    assert 2 * few["activations"] < many["activations"] < 5 * few["activations"]


def test_other_tokens_are_refused_on_resume(trained, call_bisum):
    directory = trained("trainer=accelerate", *TOKENS)
    done = call_bisum(f"resume={directory}", "trainer.tokens_per_batch=null", "trainer.epochs=3")
    assert done.code == 2
    assert "resume: trainer.tokens_per_batch cannot change from 600 to null" in done.err


@pytest.mark.parametrize(
    "other", ["hardware.length_buckets=2", "corpus.language_temperature=2", "debug.overfit=true"], ids=lambda o: o[:5]
)
def test_keys_that_need_a_fixed_number_of_rows_are_refused(other, small):
    with pytest.raises(UserError, match=f"trainer.tokens_per_batch: cannot be combined with {other.split('=')[0]}, si"):
        compose([*small, *TOKENS, other])


def test_a_row_that_does_not_fit_is_refused(small, tmp_path):
    with pytest.raises(UserError, match=r"trainer\.tokens_per_batch: 20 is less than the longest row"):
        train(compose([*small, "trainer.tokens_per_batch=20"]), tmp_path / "run")
