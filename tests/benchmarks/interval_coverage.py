"""Coverage of 95% intervals of the mean ROUGE, by method and number of rows.

    python tests/benchmarks/interval_coverage.py [DRAWS]

The population is the ROUGE F of lead-1 and of lead-3, and their difference, on all rows of the sample's validation and
test splits. In each of `DRAWS` draws (default 2,000), n rows are drawn with replacement and used to compute an
interval, which covers the population's mean or does not. The methods:

- percentile: bisum's own function, `bisum.evaluation.bootstrap.interval`.
- BCa: the same resamples, corrected for bias and skewness (Efron & Tibshirani 1993, section 14.3).
- t: the mean and its standard error, with Student's quantiles.
- bootstrap-t: the same with the quantiles of the resamples (section 12.5).
"""

import sys
import time
from statistics import NormalDist

import numpy as np

from bisum.corpus.sample import Sample
from bisum.evaluation.baseline import lead_all
from bisum.evaluation.bootstrap import CONFIDENCE, interval
from bisum.evaluation.rouge import score_rows
from bisum.interfaces.score import ROUGE_MEASURES, ROUGE_TYPES

TAIL = (1 - CONFIDENCE) / 2
SAMPLES = 1000
SHOWN = ("rouge1", "rouge2", "rougeL")
STUDENT = {5: 2.776445, 10: 2.262157, 30: 2.045230, 100: 1.984217, 300: 1.967930}
"""Quantile of Student's t at 97.5% for n - 1 degrees of freedom, by n."""


def populations():
    """Return the scores by name, each of shape (rows, types of SHOWN)."""
    splits = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])
    rows = [row for split in ("validation", "test") for row in splits[split].to_pylist()]
    documents, summaries, languages = ([row[key] for row in rows] for key in ("document", "summary", "language"))
    columns = [ROUGE_TYPES.index(name) for name in SHOWN]
    scores = {}
    for k in (1, 3):
        scored = score_rows(lead_all(documents, languages, k), summaries, languages)
        scores[f"lead-{k}"] = scored[:, 0, :, ROUGE_MEASURES.index("fmeasure")][:, columns]
    return {**scores, "lead-3 minus lead-1": scores["lead-3"] - scores["lead-1"]}


def resample(values, seed):
    """Return the mean and standard deviation of each resample, both of shape (SAMPLES, columns)."""
    rows = len(values)
    generator = np.random.default_rng(seed)
    counts = np.array([np.bincount(generator.integers(rows, size=rows), minlength=rows) for _ in range(SAMPLES)])
    means = counts @ values / rows
    return means, np.sqrt(np.maximum(counts @ values**2 / rows - means**2, 0) * rows / (rows - 1))


def bca(values, means):
    """Return the ends of the BCa interval of each column."""
    normal = NormalDist()
    ends = np.empty((2, values.shape[1]))
    for column, (own, drawn) in enumerate(zip(values.T, means.T, strict=True)):
        below = ((drawn < own.mean()).mean() + (drawn <= own.mean()).mean()) / 2
        spread = own - own.mean()
        if not 0 < below < 1 or not spread.any():
            ends[:, column] = own.mean()
            continue
        bias = normal.inv_cdf(below)
        skewness = (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
        for end, tail in enumerate((TAIL, 1 - TAIL)):
            shifted = bias + normal.inv_cdf(tail)
            ends[end, column] = np.quantile(drawn, normal.cdf(bias + shifted / (1 - skewness * shifted)))
    return ends


def student(values):
    """Return the ends of the t interval of each column."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return values.mean(axis=0) + np.outer((-STUDENT[len(values)], STUDENT[len(values)]), error)


def bootstrap_t(values, means, deviations):
    """Return the ends of the bootstrap-t interval of each column; resamples without spread are ignored."""
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (means - mean) / (deviations / np.sqrt(len(values)))
    ratios[deviations < 1e-9] = np.nan
    ratios[:, np.isnan(ratios).all(axis=0)] = 0
    low, high = np.nanquantile(ratios, [TAIL, 1 - TAIL], axis=0)
    return np.stack([mean - high * error, mean - low * error])


def intervals(values, seed):
    """Return the ends of each column's interval by method, each of shape (2, columns)."""
    means, deviations = resample(values, seed)
    return {
        "percentile": np.stack(interval(values, SAMPLES, seed)),
        "BCa": bca(values, means),
        "t": student(values),
        "bootstrap-t": bootstrap_t(values, means, deviations),
    }


def coverage(population, rows, draws):
    """Return, by method and column, the share of draws whose interval covers the mean, and the mean width."""
    truth = population.mean(axis=0)
    covered, widths = {}, {}
    for draw in range(draws):
        values = population[np.random.default_rng([draw, rows]).integers(len(population), size=rows)]
        for method, (low, high) in intervals(values, draw).items():
            covered[method] = covered.get(method, 0) + ((low <= truth) & (truth <= high)) / draws
            widths[method] = widths.get(method, 0) + (high - low) / draws
    return covered, widths


def main(draws):
    """Print a table for each population."""
    for name, population in populations().items():
        means = (100 * population.mean(axis=0)).round(1)
        print(f"\n{name}: {len(population)} rows, means {means} ({', '.join(SHOWN)})")
        for rows in STUDENT:
            began = time.perf_counter()
            covered, widths = coverage(population, rows, draws)
            for method, shares in covered.items():
                percent = "  ".join(f"{100 * share:5.1f}" for share in shares)
                wide = "  ".join(f"{100 * width:5.1f}" for width in widths[method])
                print(f"  {rows:3d} rows  {method:12s} covered {percent}%   width {wide}")
            print(f"            {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
