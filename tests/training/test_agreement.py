"""The two backends take the same steps and have the same scores, which are not constant."""

import math

import pytest

VARIANTS = {
    "plain": [],
    "accumulation": [
        "trainer.gradient_accumulation=3",
        "trainer.batch_size=2",
    ],  # the last of an epoch's 11 steps has 2 parts
    "adafactor": [
        "trainer.optimizer=adafactor",
        "trainer.label_smoothing=0.1",
        "trainer.schedule=cosine",
        "trainer.average=0.9",
    ],
    "uneven": [
        "trainer.max_steps=11",
        "trainer.evaluate_every=4",
        "trainer.gradient_accumulation=2",
        "trainer.decay_all_parameters=true",
        "trainer.max_gradient_norm=null",
        "trainer.schedule=constant",
        "trainer.gradient_checkpointing=true",
        "corpus.max_train_rows=62",  # the last batch has two rows
    ],
    "temperature": [
        "seed=1",
        "corpus.language_temperature=2",
        "filter=[books]",
        "filter.books.categories=[perl,libdevel]",  # five times as many rows in English as in Spanish
    ],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_backends_have_the_same_losses_and_scores(variant, trained, read):
    one, other = (trained(f"trainer={name}", *VARIANTS[variant]) for name in ("accelerate", "seq2seq_trainer"))
    steps = {"plain": 32, "accumulation": 22, "adafactor": 32, "uneven": 11, "temperature": 32}[variant]
    losses = read.series(one, "train/loss")
    assert len(losses) == steps
    assert read.series(other, "train/loss") == pytest.approx(losses, rel=1e-4)

    assert len(read.metrics(one)) == len(read.metrics(other))
    for a, b in zip(read.metrics(one), read.metrics(other), strict=True):
        assert a.keys() == b.keys()
        exact = [name for name in a if "rouge" in name or name in ("step", "epoch", "eval/gen_len", "test/gen_len")]
        assert {name: a[name] for name in exact} == {name: b[name] for name in exact}
        rest = a.keys() - set(exact)
        assert {name: b[name] for name in rest} == pytest.approx({name: a[name] for name in rest}, rel=1e-4)
    rouge = read.series(one, "eval/rouge1")
    assert max(rouge) > 1  # the comparison is not trivial
    assert len(set(rouge)) > 1


@pytest.mark.parametrize(
    "override",
    ["seed=2", "model.architecture.dropout=0", "trainer.label_smoothing=0.1", "trainer.gradient_accumulation=2"],
)
def test_losses_depend_on_the_compared_settings(override, trained, read):
    usual, changed = (
        read.series(trained("trainer=accelerate", *arguments), "train/loss")
        for arguments in ([], [override, "trainer.max_steps=5"])
    )  # the first step's rate is 0, so the second loss is that of the initial weights, too
    assert len(changed) == 5
    assert not any(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(usual[2:], changed[2:], strict=False))


def test_repeated_run_has_the_same_numbers(trained, read, tmp_path, small):
    from bisum import compose, train

    train(compose([*small, "trainer=accelerate"]), tmp_path / "again")
    assert read.metrics(tmp_path / "again") == read.metrics(trained("trainer=accelerate"))
