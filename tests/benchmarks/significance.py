"""Size, power and coverage of the tests between systems, on simulated scores with known differences.

    python tests/benchmarks/significance.py [DRAWS]

It measures the functions behind `bisum compare` (`bisum.comparison.significance`) in `DRAWS` simulated comparisons for
each number of rows and seeds (default 1,000, so the standard error of a share of 5% is 0.7%).

The score of a row, in ROUGE points, is a sum of

- the row: ROUGE-L of lead-3 on a row of the sample's validation and test splits, drawn with replacement and scaled to a
  standard deviation of 18. All systems share it.
- the system on this row,
- the seed on this row,
- the seed on all rows: normal.

The second and third are drawn from the differences between lead-3 and lead-1 on the same splits, centered and scaled,
so they have the heavy tails of ROUGE differences. `KINDS` has the standard deviations.

The other methods, for comparison:

- rows: the paired bootstrap over rows, which treats the mean of the seeds as fixed.
- n of n: the hierarchical bootstrap, which also draws n of n seeds with replacement for each system.
- n-1 of n: the same with n - 1 seeds, which gives the right variance.
- t: the paired bootstrap over rows plus a draw from Student's t for the seeds, with the degrees of freedom of Welch
  (1947). It counts the variation of seeds on single rows twice.
- anova: a two-way analysis of variance with random rows and seeds (Clark 1973, doi.org/10.1016/S0022-5371(73)80014-3)
  and the degrees of freedom of Satterthwaite (1946, www.jstor.org/stable/3002019), without resampling.
"""

import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from interval_coverage import SHOWN, populations
from scipy import stats

from bisum.comparison.result import ALPHA
from bisum.comparison.significance import ResampledSystems, holm
from bisum.evaluation.bootstrap import bounds, resampled_means
from bisum.interfaces.score import Score

SAMPLES = 1000
ROWS = (30, 100, 307)
SEEDS = (1, 2, 3, 5)
BATCH = 25
"""Comparisons that share the drawn rows of their resamples, but no data."""
SHIFTS = (1, 2)
"""True differences for measuring power."""
BASE = 18
KINDS = {
    "no seed effect": (8.6, 0, 0),
    "seeds differ by row": (5, 7, 0),
    "seeds differ by 0.4 points and by row": (5, 7, 0.4),
    "seeds differ by 1.5 points and by row": (5, 7, 1.5),
}
"""Standard deviations of the system on a row, the seed on a row, and the seed on all rows."""
SCORE = Score("simulated", True)


class Population:
    """Simulated scores with a known mean for every system."""

    def __init__(self):
        column = SHOWN.index("rougeL")
        scores = populations()
        base, differences = scores["lead-3"][:, column], scores["lead-3 minus lead-1"][:, column]
        self.base = BASE * base / base.std()
        self.differences = (differences - differences.mean()) / differences.std()
        self.mean = self.base.mean()

    def draw(self, generator, kind, shape):
        """Return scores: shape (comparisons, systems, seeds, rows)."""
        return self.scores(generator, KINDS[kind], shape)

    def scores(self, generator, deviations, shape):
        """Return scores with standard deviations as in `KINDS`."""
        comparisons, systems, seeds, rows = shape
        of_system, of_row, of_seed = deviations
        return (
            generator.choice(self.base, (comparisons, 1, 1, rows))
            + of_system * generator.choice(self.differences, (comparisons, systems, 1, rows))
            + of_row * generator.choice(self.differences, shape)
            + of_seed * generator.standard_normal((comparisons, systems, seeds, 1))
        )


def p_values(drawn):
    """Return two-sided p-values of resampled differences: (samples, ...) -> (...)."""
    return np.minimum(1, 2 * np.minimum((drawn <= 0).mean(axis=0), (drawn >= 0).mean(axis=0)))


def of_drawn_seeds(means, count, generator):
    """Return resampled differences with `count` drawn seeds: (samples, comparisons, 2, seeds) -> (samples, ...)."""
    drawn = generator.integers(means.shape[-1], size=(*means.shape[:-1], count))
    systems = np.take_along_axis(means, drawn, axis=-1).mean(axis=-1)
    return systems[..., 0] - systems[..., 1]


def seed_noise(values, generator):
    """Return draws from Student's t for the error due to the seeds: (samples, comparisons)."""
    seeds = values.shape[2]
    variance = np.maximum(values.mean(axis=3).var(axis=2, ddof=1), 1e-20)  # shape (comparisons, 2)
    freedom = (seeds - 1) * variance.sum(axis=1) ** 2 / (variance**2).sum(axis=1)
    return np.sqrt(variance.sum(axis=1) / seeds) * generator.standard_t(freedom, (SAMPLES, len(values)))


def anova(values, shift=0):
    """Return p-values by an analysis of variance: (comparisons, 2, seeds, rows) -> (comparisons,)."""
    seeds, rows = values.shape[2:]
    by_row, by_seed = values.mean(axis=2), values.mean(axis=3)
    differences = by_row[:, 0] - by_row[:, 1]
    rest = values - by_row[:, :, None] - by_seed[..., None] + values.mean(axis=(2, 3), keepdims=True)
    explained = (rest**2).sum(axis=(1, 2, 3)) / ((rows - 1) * (seeds - 1)) / rows / seeds
    observed = by_seed.var(axis=2, ddof=1) / seeds  # shape (comparisons, 2)
    of_rows = differences.var(axis=1, ddof=1) / rows
    variance = of_rows + np.maximum(observed.sum(axis=1) - explained, 0)
    freedom = variance**2 / (of_rows**2 / (rows - 1) + (observed**2).sum(axis=1) / (seeds - 1))
    return 2 * stats.t.sf(np.abs(differences.mean(axis=1) + shift) / np.sqrt(variance), freedom)


def others(values, seed):
    """Return resampled differences by method: (comparisons, 2, seeds, rows) -> arrays (samples, comparisons)."""
    seeds = values.shape[2]
    means = resampled_means(np.moveaxis(values, 3, 0), SAMPLES, seed)
    systems = means.mean(axis=3)
    found = {"rows": systems[..., 0] - systems[..., 1]}
    if seeds == 1:
        return found
    generator = np.random.default_rng([seed, 9])
    return found | {
        "n of n": of_drawn_seeds(means, seeds, generator),
        "n-1 of n": of_drawn_seeds(means, seeds - 1, generator),
        "t": found["rows"] + seed_noise(values, generator),
    }


def batches(draws):
    """Yield each batch's number, which seeds it, and its size."""
    for batch, start in enumerate(range(0, draws, BATCH)):
        yield batch, min(BATCH, draws - start)


def measured(population, kind, rows, seeds, draws):
    """Return shares of comparisons with each property, by name."""
    found = {}

    def note(name, holds):
        found[name] = found.get(name, 0) + np.sum(holds) / draws

    for batch, size in batches(draws):
        generator = np.random.default_rng([batch, rows, seeds, list(KINDS).index(kind)])
        values = population.draw(generator, kind, (size, 2, seeds, rows))
        first = [values[:, 0] + shift for shift in (0, *SHIFTS)]
        systems = ResampledSystems([*np.concatenate(first), *values[:, 1]], SCORE, SAMPLES, batch)
        last = len(first) * size
        tests = systems.tests([(at, last + at % size) for at in range(last)])
        low, high = np.transpose([systems.interval(at) for at in range(size)])
        note("one system covered", (low <= population.mean) & (population.mean <= high))
        note("difference covered", [test.low <= 0 <= test.high for test in tests[:size]])
        note("width", [test.high - test.low for test in tests[:size]])
        for at, shift in enumerate((0, *SHIFTS)):
            own = tests[at * size : (at + 1) * size]
            note(f"bisum {shift}", [test.p <= ALPHA for test in own])
            note(f"randomization {shift}", [test.p_randomization <= ALPHA for test in own])
        for name, drawn in others(values, batch).items():
            low, high = bounds(drawn)
            note(f"{name} covered", (low <= 0) & (high >= 0))
            for shift in (0, *SHIFTS):
                note(f"{name} {shift}", p_values(drawn + shift) <= ALPHA)
        for shift in (0, *SHIFTS) if seeds > 1 else ():
            note(f"anova {shift}", anova(values, shift) <= ALPHA)
    return found


def false_findings(population, kind, rows, seeds, draws, count=5):
    """Return the family-wise error rate among equal systems: unadjusted, by Holm, and by Holm after anova."""
    found = np.zeros(3)
    places = [(a, b) for a in range(count) for b in range(a + 1, count)]
    for batch, size in batches(draws):
        generator = np.random.default_rng([batch, rows, seeds, list(KINDS).index(kind), count])
        values = population.draw(generator, kind, (size, count, seeds, rows))
        systems = ResampledSystems([*values.reshape(-1, seeds, rows)], SCORE, SAMPLES, batch)
        tests = systems.tests([(count * at + a, count * at + b) for at in range(size) for a, b in places])
        p = np.array([test.p for test in tests]).reshape(size, len(places))
        other = [anova(values[:, [a, b]]) if seeds > 1 else np.full(size, np.nan) for a, b in places]
        adjusted = [[np.nanmin([1, *holm(own)]) for own in of] for of in (p, np.transpose(other))]
        found += (np.stack([p.min(axis=1), *adjusted]) <= ALPHA).sum(axis=1)
    return found / draws


def unequal_seeds(population, counts, deviations, rows, draws):
    """Return the share of p <= 0.05 for two equal systems whose seeds differ in number or deviation.

    Args:
        population: the simulated scores.
        counts: the number of seeds of each system.
        deviations: the standard deviation of the seeds on all rows, for each system.
        rows: number of rows.
        draws: number of comparisons.
    """
    found = 0
    for batch, size in batches(draws):
        generator = np.random.default_rng([batch, rows, *counts, 7])
        both = population.scores(generator, (5, 7, 0), (size, 2, max(counts), rows))
        both += np.array(deviations)[:, None, None] * generator.standard_normal((size, 2, max(counts), 1))
        values = [both[at, system, : counts[system]] for system in (0, 1) for at in range(size)]
        tests = ResampledSystems(values, SCORE, SAMPLES, batch).tests([(at, size + at) for at in range(size)])
        found += sum(test.p <= ALPHA for test in tests)
    return found / draws


def best_of_many(population, count, rows, draws):
    """Return the share of comparisons of equal systems in which the best differs significantly from another.

    The systems have one seed, and only the best is tested against the others. Holm's method counts only its pairs in
    the first share, and all pairs, as in `bisum compare`, in the second.
    """
    found = np.zeros(2)
    for batch, size in batches(draws):
        generator = np.random.default_rng([batch, rows, count, 8])
        values = population.scores(generator, (8.6, 0, 0), (size, count, 1, rows))
        for own in values:
            ranked = own[np.argsort(-own.mean(axis=(1, 2)))]
            tests = ResampledSystems([*ranked], SCORE, SAMPLES, batch).tests([(0, at) for at in range(1, count)])
            p = [test.p for test in tests]
            skipped = count * (count - 1) // 2 - len(p)
            found += [min(holm(p, untested)) <= ALPHA for untested in (0, skipped)]
    return found / draws


def line(cells):
    """Print the cells of a row of a table; shares as percentages."""
    print("  ".join(f"{cell if isinstance(cell, (str, int)) else format(100 * cell, '.1f'):>8}" for cell in cells))


def main(draws):
    """Print the tables."""
    population, began = Population(), time.perf_counter()
    methods = ("bisum", "random.", "rows", "n of n", "n-1 of n", "t", "anova")
    keys = ("bisum", "randomization", "rows", "n of n", "n-1 of n", "t", "anova")
    for kind in KINDS:
        found = {(r, s): measured(population, kind, r, s, draws) for r in ROWS for s in SEEDS}
        print(f"\n{kind}, {draws} comparisons ({time.perf_counter() - began:.0f} s)")
        titles = {"0": "size: % with p <= 0.05 for equal systems"}
        titles |= {str(shift): f"power: % with p <= 0.05 for a difference of {shift}" for shift in SHIFTS}
        for key, title in titles.items():
            print(title)
            line(["rows", "seeds", *methods])
            for (rows, seeds), own in found.items():
                line([rows, seeds, *(own.get(f"{method} {key}", "-") for method in keys)])
        print("coverage of 95% intervals: one system, difference; difference by the other methods; width in points")
        line(["rows", "seeds", "one", "diff.", *methods[2:-1], "width"])
        for (rows, seeds), own in found.items():
            covered = [own.get(f"{method} covered", "-") for method in keys[2:-1]]
            width = f"{own['width']:.2f}"
            line([rows, seeds, own["one system covered"], own["difference covered"], *covered, width])
        sys.stdout.flush()
    print("\nfive equal systems, 10 pairs: % with any p <= 0.05: unadjusted, by Holm, by Holm after anova")
    for kind in list(KINDS)[1::2]:
        print(f"{kind} ({time.perf_counter() - began:.0f} s)")
        line(["rows", "seeds", "unadj.", "Holm", "anova"])
        for rows in ROWS[1:]:
            for seeds in SEEDS:
                line([rows, seeds, *false_findings(population, kind, rows, seeds, draws)])
        sys.stdout.flush()
    print(f"\nunequal seeds, 307 rows: size ({time.perf_counter() - began:.0f} s)")
    line(["seeds", "seeds", "points", "points", "size"])
    for counts in ((2, 2), (3, 3), (5, 5)):
        for deviations in ((1.5, 0), (3, 0)):
            line([*counts, *map(str, deviations), unequal_seeds(population, counts, deviations, 307, draws)])
    for counts in ((3, 1), (5, 1)):
        for deviations in ((0.4, 0.4), (1.5, 1.5), (0, 1.5)):
            line([*counts, *map(str, deviations), unequal_seeds(population, counts, deviations, 307, draws)])
    print(f"\nbest of 25 equal systems, 100 rows: % with a finding ({time.perf_counter() - began:.0f} s)")
    print("Holm over the pairs of the best; Holm over all pairs")
    line(best_of_many(population, 25, 100, min(draws, 500)))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
