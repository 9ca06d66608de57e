import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

from bisum.evaluation.metric_values import measured
from bisum.evaluation.metrics.chrf import Chrf
from bisum.evaluation.row_scores import aggregate, difference


def chrf(word_order=0):
    return Chrf(char_order=6, word_order=word_order, beta=2)


def scored(metric, rows):
    return measured({"chrf": metric}, rows)[0]


@pytest.mark.parametrize("word_order", [0, 2])
def test_chrf_equals_sacrebleu_overall_and_per_language(debian, word_order):
    metrics = aggregate(scored(chrf(word_order), debian), "test", 100, 0, ["en", "es"])
    theirs = CHRF(word_order=word_order)
    pairs = list(zip(debian.predictions, debian.references, debian.languages, strict=True))
    for infix, languages in (("", ("en", "es")), ("en/", ("en",)), ("es/", ("es",))):
        chosen = [pair for pair in pairs if pair[2] in languages]
        expected = theirs.corpus_score([pair[0] for pair in chosen], [[pair[1] for pair in chosen]]).score
        assert metrics[f"test/{infix}chrf"] == pytest.approx(expected, abs=1e-9)
        assert metrics[f"test/{infix}chrf_low"] < expected < metrics[f"test/{infix}chrf_high"]


def test_interval_matches_sacrebleu_on_resampled_rows(debian):
    """Rows are drawn in plain Python, and sacrebleu scores each sample."""
    metrics = aggregate(scored(chrf(), debian), "test", 1000, 0, [])
    generator, theirs = np.random.default_rng(5), CHRF()
    statistics = np.array(
        theirs._extract_corpus_statistics(list(debian.predictions), [list(debian.references)]), dtype=float
    )
    drawn = [statistics[generator.integers(len(statistics), size=len(statistics))].sum(axis=0) for _ in range(1000)]
    low, high = np.percentile([theirs._compute_f_score(list(counts)) for counts in drawn], [2.5, 97.5])
    width = high - low
    assert metrics["test/chrf_low"] == pytest.approx(low, abs=0.15 * width)
    assert metrics["test/chrf_high"] == pytest.approx(high, abs=0.15 * width)


def test_difference_matches_two_corpus_scores(debian, rows_of):
    other = rows_of(debian.documents, debian.references, debian.documents, debian.languages)
    found = difference(scored(chrf(), debian), scored(chrf(), other), 1000, 0, ["es"])
    theirs = CHRF()
    expected = [theirs.corpus_score(list(rows.predictions), [list(rows.references)]).score for rows in (debian, other)]
    assert found["difference/chrf"] == pytest.approx(expected[0] - expected[1], abs=1e-9)
    assert found["difference/chrf_low"] < found["difference/chrf"] < found["difference/chrf_high"]
    assert found["difference/chrf_better"] > 99


def test_empty_summary_scores_zero(rows_of):
    assert aggregate(scored(chrf(), rows_of(["", ""], ["a text", "more"])), "test", 100, 0, [])["test/chrf"] == 0


@pytest.mark.parametrize("word_order", [0, 2])
@pytest.mark.parametrize("beta", [1, 2, 3])
def test_vectorized_scores_equal_sacrebleu(word_order, beta):
    """Counts of short texts have no long n-grams: 0 in the summary, in the reference, in both, or in common."""
    generator = np.random.default_rng(word_order)
    shape = (5, 200, 6 + word_order)
    predicted, expected = (generator.integers(0, 30, shape) * (generator.random(shape) < 0.6) for _ in range(2))
    common = generator.integers(0, np.minimum(predicted, expected) + 1)
    counts = np.stack([predicted, expected, common], axis=-1).reshape(5, 200, -1)
    counts[0, 0] = 0
    counts[0, 1] = [0, 5, 0] * (6 + word_order)
    counts[0, 2] = [5, 5, 0] * (6 + word_order)
    found = Chrf(char_order=6, word_order=word_order, beta=beta).score(counts.astype(np.float64))
    theirs = CHRF(word_order=word_order, beta=beta)
    assert found.shape == (5, 200)
    for own, score in zip(counts.reshape(1000, -1).tolist(), found.ravel(), strict=True):
        assert score == pytest.approx(theirs._compute_f_score(own), abs=1e-9)


def test_score_is_independent_of_the_scale_of_counts():
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 5, (50, 18)).astype(np.float64)
    np.testing.assert_allclose(chrf().score(counts / 7), chrf().score(counts), atol=1e-9)
