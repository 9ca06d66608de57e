"""Batches of similar length: every row once, determined by (seed, epoch), little padding."""

import random

import numpy as np
import pytest
import torch

from bisum.batches.sampling import SimilarLengthBatches
from bisum.errors import UserError

LENGTHS = np.random.default_rng(0).lognormal(4.5, 0.6, 3003).astype(np.int64).clip(5, 512)
SUMMARIES = np.random.default_rng(1).lognormal(2.3, 0.5, 3003).astype(np.int64).clip(2, 30)


def batches(seed=1, epoch=0, lengths=LENGTHS, size=8, tokens=None):
    sampler = SimilarLengthBatches(lengths, SUMMARIES[: len(lengths)], size, seed, tokens=tokens)
    sampler.set_epoch(epoch)
    groups = list(sampler)
    assert len(groups) == len(sampler)
    return groups


def padding(groups, lengths=LENGTHS):
    """Return the share of padding in the tokens of padded batches."""
    padded = sum(len(rows) * max(lengths[row] for row in rows) for rows in groups)
    return 1 - sum(lengths) / padded


@pytest.mark.parametrize("size", [1, 8, 4000])
def test_every_row_occurs_once_per_epoch(size):
    groups = batches(size=size)
    assert sorted(row for rows in groups for row in rows) == list(range(3003))
    assert len(groups) == len(SimilarLengthBatches(LENGTHS, SUMMARIES, size, 1)) == -(-3003 // size)
    assert sorted(len(rows) for rows in groups)[1:] == [size] * (len(groups) - 1)


def test_batches_depend_only_on_seed_and_epoch():
    one = batches(seed=3, epoch=2)
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    sampler = SimilarLengthBatches(LENGTHS, SUMMARIES, 8, 3)
    list(sampler)
    sampler.set_epoch(2)
    assert list(sampler) == one
    assert list(sampler) == one
    others = [batches(seed=3, epoch=1), batches(seed=2, epoch=2), batches(seed=2, epoch=3), batches(seed=4, epoch=1)]
    sets = [{frozenset(rows) for rows in groups} for groups in others]
    assert all(len({frozenset(rows) for rows in one} & other) < 5 for other in sets)


@pytest.mark.parametrize("tokens", [542, 1000, 4000, 10**9])
def test_every_batch_fits_the_tokens_and_every_epoch_has_equally_many(tokens):
    counts = set()
    for seed, epoch in ((1, 0), (1, 1), (2, 0)):
        groups = batches(seed, epoch, tokens=tokens)
        assert sorted(row for rows in groups for row in rows) == list(range(3003))
        padded = [len(rows) * (max(LENGTHS[rows]) + max(SUMMARIES[rows])) for rows in groups]
        assert max(padded) <= tokens
        counts.add(len(groups))
    assert len(counts) == 1


def test_batches_nearly_fill_the_tokens_and_change_with_the_epoch():
    one, other = (batches(epoch=epoch, tokens=4000) for epoch in (0, 1))
    filled = sum(len(rows) * (max(LENGTHS[rows]) + max(SUMMARIES[rows])) for rows in one) / (4000 * len(one))
    assert 0.85 < filled <= 1
    assert max(map(len, one)) > 3 * min(map(len, one))
    assert len({frozenset(rows) for rows in one} & {frozenset(rows) for rows in other}) < len(one) / 4
    assert batches(epoch=1, tokens=4000) == other


@pytest.mark.parametrize("tokens", [1, 300, 521])
def test_a_row_longer_than_the_tokens_is_refused(tokens):
    longest = max(document + summary for document, summary in zip(LENGTHS, SUMMARIES, strict=True))
    message = f"^trainer.tokens_per_batch: {tokens} is less than the longest row, which has {longest} tokens"
    with pytest.raises(UserError, match=message):
        batches(tokens=tokens)
    assert batches(tokens=longest)


def test_smallest_and_largest_seeds_are_accepted():
    assert batches(seed=0) != batches(seed=2**32 - 1)


def test_rows_of_a_batch_have_similar_lengths():
    rows = np.random.default_rng(5).permutation(3003)
    at_random = [rows[start : start + 8] for start in range(0, 3003, 8)]
    assert padding(at_random) > 0.4
    assert padding(batches()) < 0.06


def test_batches_come_in_random_order():
    """Short rows do not come first, and a row's companions change from epoch to epoch."""
    means = [LENGTHS[rows].mean() for rows in batches()]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


def test_loading_uses_no_random_numbers_of_torch(small, tmp_path):
    from bisum import compose
    from bisum.batches.collation import Collator
    from bisum.batches.sampling import TrainingLoader
    from bisum.batches.tokenization import encode
    from bisum.corpus.corpus import load_corpus
    from bisum.models.loading import load
    from bisum.records.run import recorded

    config = compose([*small, f"cache_dir={tmp_path}"])
    loaded = load(config.model, 42, "float32")
    with recorded(tmp_path / "run", config) as run:
        corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
        split = encode(corpus, loaded, tmp_path, run.screen.progress)["train"]
    loader = TrainingLoader(split, Collator(loaded), 8, 42, config.hardware)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    seen = [batch["input_ids"] for batch in loader]
    assert torch.equal(torch.get_rng_state(), state)
    assert sum(len(ids) for ids in seen) == 64
    loader.set_epoch(1)
    assert [len(batch["input_ids"]) for batch in loader] == [8] * 8
