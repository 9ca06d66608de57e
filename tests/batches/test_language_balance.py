"""Languages' shares of an epoch: by temperature, computed by hand, rows in turn, and determined by (seed, epoch)."""

import json
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from bisum.batches.language_balance import LanguageBalance, balance_languages
from bisum.batches.sampling import SimilarLengthBatches

FEW_SPANISH = ["filter=[books]", "filter.books.categories=[perl,libdevel]"]
"""Leaves 223 English and 47 Spanish rows of the sample: of 64, by largest remainder, 53 (52.9) and 11 (11.1)."""
REPORTED = "languages: en 53 rows, 68.8% of an epoch; es 11 rows, 31.2%"
"""At temperature 2: sqrt(53) to sqrt(11) is 7.280 to 3.317, so 43.97 and 20.03 of 64 rows, rounded 44 and 20."""


def languages_of(**counts):
    """Return a shuffled column of languages."""
    codes = np.repeat(list(counts), list(counts.values()))
    return pa.chunked_array([np.random.default_rng(0).permutation(codes).tolist()])


# For 16, 4, 1 rows the square roots are 4, 2, 1 of 7; the fourth roots 2, 1.414, 1 of 4.414: 9.51, 6.73, 4.76 of 21.
@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(1, (16, 4, 1)), (2, (12, 6, 3)), (4, (9, 7, 5)), (1e12, (7, 7, 7))],
)
def test_shares_follow_the_temperature(temperature, expected):
    languages = languages_of(es=4, ja=1, en=16)
    balance = LanguageBalance(languages, temperature, 42)
    for epoch in (0, 1, 9):
        rows = balance.rows_of(epoch)
        assert len(rows) == 21
        counts = Counter(languages.take(pa.array(rows)).to_pylist())
        assert (counts["en"], counts["es"], counts["ja"]) == expected


def test_balance_is_described():
    text = str(LanguageBalance(languages_of(es=163, en=1633), 1e12, 42))
    assert text == "en 1,633 rows, 50% of an epoch; es 163 rows, 50%"


@pytest.mark.parametrize("temperature", [1, 1.7, 3, 1e12])
def test_no_row_repeats_before_all_rows_of_its_language_are_used_as_often(temperature):
    languages = languages_of(en=211, es=37, ja=5, de=1)
    balance = LanguageBalance(languages, temperature, 7)
    seen = np.zeros(254, dtype=int)
    for epoch in range(60):
        seen += np.bincount(balance.rows_of(epoch), minlength=254)
        for language in ("en", "es", "ja", "de"):
            counts = seen[[code == language for code in languages.to_pylist()]]
            assert counts.max() - counts.min() <= 1
            assert counts.sum() == (epoch + 1) * balance.quotas[language]
    assert seen.min() >= 17  # at equal shares, an English row comes 60 x 63.5 / 211 times


def test_epochs_differ_and_depend_only_on_seed_and_epoch():
    languages = languages_of(en=211, es=37)
    balance = LanguageBalance(languages, 3, 7)
    epochs = [balance.rows_of(epoch).tolist() for epoch in range(4)]
    assert LanguageBalance(languages, 3, 7).rows_of(3).tolist() == epochs[3]
    assert balance.rows_of(1).tolist() == epochs[1]
    assert len({tuple(rows) for rows in epochs}) == 4
    assert LanguageBalance(languages, 3, 8).rows_of(0).tolist() != epochs[0]
    # The English rows that the first epoch leaves out do not depend on their positions.
    absent = np.setdiff1d(np.flatnonzero([code == "en" for code in languages.to_pylist()]), epochs[0])
    assert 60 < absent.mean() < 190


def batches(balance, rows, epoch):
    lengths, summaries = (np.random.default_rng(1).integers(5, most, rows) for most in (512, 30))
    sampler = SimilarLengthBatches(lengths, summaries, 8, 3, balance)
    sampler.set_epoch(epoch)
    assert len(sampler) == -(-rows // 8)
    return list(sampler)


@pytest.mark.parametrize(("temperature", "counts"), [(1, {"en": 900, "es": 103}), (5, {"en": 500, "es": 500})])
def test_unchanged_shares_leave_the_batches_unchanged(temperature, counts):
    rows = sum(counts.values())
    assert balance_languages(languages_of(**counts), 1, 3) is None
    for epoch in range(3):
        balance = LanguageBalance(languages_of(**counts), temperature, 3)
        assert batches(balance, rows, epoch) == batches(None, rows, epoch)


def test_batches_contain_the_rows_of_the_epoch():
    balance = LanguageBalance(languages_of(en=900, es=103), 5, 3)
    lists = batches(balance, 1003, 2)
    assert sorted(row for rows in lists for row in rows) == balance.rows_of(2).tolist()
    assert sorted(map(len, lists)) == [3] + [8] * 125


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_balanced_training_resumes_within_an_epoch(backend, trained, read, tmp_path, call_bisum, one_line):
    arguments = [*FEW_SPANISH, "corpus.language_temperature=2", "trainer.save_every=5", "trainer.keep_checkpoints=null"]
    whole = trained(f"trainer={backend}", *arguments)
    assert REPORTED in (whole / "train.log").read_text("utf-8")
    directory = shutil.copytree(whole, tmp_path / "run")
    (directory / "run.json").write_text(json.dumps({**read.record(whole), "status": "interrupted"}))
    for path in (directory / "checkpoints").iterdir():
        if float(path.name.removeprefix("epoch-")) > 1.3:
            shutil.rmtree(path)
    refused = one_line(call_bisum(f"resume={directory}", "corpus.language_temperature=3", "log=quiet"))
    assert "corpus.language_temperature cannot change from 2.0 to 3.0" in refused
    done = call_bisum(f"resume={directory}")
    assert done.code == 0, done.err
    assert "continuing from epoch-1.25" in done.out
    assert read.metrics(directory) == read.metrics(whole)
    losses = read.series(trained(f"trainer={backend}", *FEW_SPANISH), "train/loss")
    assert not set(losses) & set(read.series(whole, "train/loss"))


def test_temperature_1_reports_nothing(trained):
    assert "languages: " not in (trained("trainer=accelerate") / "train.log").read_text("utf-8")


def test_commands_that_do_not_train_ignore_the_temperature(call_bisum):
    arguments = ["baseline", *FEW_SPANISH, "corpus.max_eval_rows=20", "evaluation.bootstrap_samples=100", "split=train"]
    default, other = (
        call_bisum(*arguments, f"hydra.run.dir={number}", f"corpus.language_temperature={number}") for number in (1, 9)
    )
    assert (default.code, other.code) == (0, 0)
    assert other.out.replace("run directory  9", "run directory  1") == default.out
