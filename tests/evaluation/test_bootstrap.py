import itertools
import math
import random
import statistics

import numpy as np
import pytest
from benchmarks.interval_coverage import populations

from bisum.evaluation.bootstrap import bounds, interval, resampled_means, share_above_zero, without_rounding


def paired(ours, theirs, samples, seed):
    differences = without_rounding(resampled_means(ours - theirs, samples, seed))
    return *bounds(differences), share_above_zero(differences)


@pytest.fixture(scope="module")
def values():
    # Skewed and with zeros, like ROUGE-2.
    return np.random.default_rng(3).beta(0.4, 2.0, size=(150, 3)).round(2)


def test_interval_agrees_with_resampling_in_plain_python(values):
    low, high = interval(values, samples=4000, seed=1)
    generator = random.Random(2)
    for column, (lower, upper) in enumerate(zip(low, high, strict=True)):
        scores = values[:, column].tolist()
        means = [statistics.fmean(generator.choices(scores, k=len(scores))) for _ in range(4000)]
        cuts = statistics.quantiles(means, n=40)  # 2.5% steps
        width = cuts[-1] - cuts[0]
        assert lower == pytest.approx(cuts[0], abs=0.05 * width)
        assert upper == pytest.approx(cuts[-1], abs=0.05 * width)


def test_resampled_means_have_the_moments_of_a_mean(values):
    means = resampled_means(values, samples=4000, seed=5)
    assert means.shape == (4000, 3)
    error = values.std(axis=0) / np.sqrt(len(values))
    np.testing.assert_allclose(means.mean(axis=0), values.mean(axis=0), atol=4 * error.max() / np.sqrt(4000))
    np.testing.assert_allclose(means.std(axis=0), error, rtol=0.05)


def test_seed_determines_the_interval(values):
    first, again, other = (np.stack(interval(values, samples=200, seed=seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_two_systems_under_one_seed_are_resampled_in_pairs(values):
    ours, theirs = values[:, 0], values[:, 1]
    difference = resampled_means(ours, 50, seed=9) - resampled_means(theirs, 50, seed=9)
    np.testing.assert_allclose(difference, resampled_means(ours - theirs, 50, seed=9), atol=1e-12)


def test_trailing_axes_are_kept(values):
    means = resampled_means(values.reshape(50, 3, 3), samples=7, seed=0)
    assert means.shape == (7, 3, 3)
    assert (means[:, 1, 2] == resampled_means(values.reshape(50, 9), 7, 0)[:, 5]).all()


def test_equal_scores_have_no_spread():
    low, high = interval(np.full((20, 1), 0.25), samples=100, seed=0)
    assert low == high == 0.25


def test_coverage_matches_the_binomial_distribution():
    """Scores are 1 with probability 0.33, otherwise 0: the ones are binomial in 12 rows and in their resamples."""
    rows, share = 12, 0.33

    def probabilities(p):
        return [math.comb(rows, k) * p**k * (1 - p) ** (rows - k) for k in range(rows + 1)]

    def covers(ones):
        below = list(itertools.accumulate(probabilities(ones / rows)))
        low, high = (next(k for k, total in enumerate(below) if total >= tail - 1e-12) for tail in (0.025, 0.975))
        return low <= share * rows <= high

    exact = sum(p for ones, p in enumerate(probabilities(share)) if covers(ones))
    assert 0.85 < exact < 0.94  # below the nominal 95%
    coverage = 0.0
    for ones, probability in enumerate(probabilities(share)):
        low, high = interval((np.arange(rows) < ones).astype(float), samples=4000, seed=ones)
        coverage += probability * (low <= share <= high)
    assert coverage == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(("rows", "least", "most"), [(10, 0.84, 0.92), (100, 0.915, 0.97)])
def test_coverage_of_real_scores_matches_the_documentation(rows, least, most):
    """ROUGE-1, ROUGE-2 and ROUGE-L of lead-3; docs/explanation/numbers.md reports 2,000 draws; these are 200 others."""
    population = populations()["lead-3"]
    truth, generator = population.mean(axis=0), np.random.default_rng(rows)
    covered, covered_by_numpy = [], []
    for draw in range(200):
        values = population[generator.integers(len(population), size=rows)]
        low, high = interval(values, 300, seed=draw)
        covered.append((low <= truth) & (truth <= high))
        means = generator.choice(values, size=(300, rows)).mean(axis=1)
        lower, upper = np.percentile(means, [2.5, 97.5], axis=0)
        covered_by_numpy.append((lower <= truth) & (truth <= upper))
    assert least < np.mean(covered) < most
    assert np.mean(covered) == pytest.approx(np.mean(covered_by_numpy), abs=0.02)


def test_constant_lead_is_certain_and_a_tie_is_not_a_lead(values):
    low, high, better = paired(values + 0.125, values, samples=200, seed=0)
    np.testing.assert_allclose([low, high], 0.125, atol=1e-12)
    assert (better == 1).all()
    assert [float(part[0]) for part in paired(values, values + 0.125, 200, 0)] == pytest.approx([-0.125, -0.125, 0])
    assert [float(part[0]) for part in paired(values, values, 200, 0)] == [0, 0, 0]


def test_one_win_and_one_equal_loss_have_a_known_interval():
    # Of the 4 equally likely resamples one has the won row twice (+0.1), one the lost row twice (-0.1), two are ties.
    ours, theirs = np.array([0.6, 0.3]), np.array([0.5, 0.4])
    low, high, better = paired(ours, theirs, samples=4000, seed=0)
    assert (low, high) == pytest.approx((-0.1, 0.1))
    assert better == pytest.approx(1 / 4, abs=4 * np.sqrt(1 / 4 * 3 / 4 / 4000))


def test_four_rows_match_all_their_resamples():
    # Differences of 0.1, 0.2, -0.3 and 0.4; in tenths, so that a tie is exactly 0:
    sums = sorted(sum(rows) for rows in itertools.product((1, 2, -3, 4), repeat=4))
    assert (sums.count(0), sum(total > 0 for total in sums)) == (16, 191)
    # 2.5% of 256 is 6.4: the interval goes from the 7th smallest to the 7th largest mean.
    assert (sums[6], sums[-7]) == (-7, 13)
    ours, theirs = np.array([0.5, 0.5, 0.3, 0.9]), np.array([0.4, 0.3, 0.6, 0.5])
    low, high, better = paired(ours, theirs, samples=20_000, seed=3)
    assert (low, high) == pytest.approx((-0.7 / 4, 1.3 / 4))
    share = 191 / 256
    assert better == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 20_000))
