"""A group of systems ranked by a score, with an interval for each and a test for each pair."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from bisum.comparison.aggregates import score_of_rows
from bisum.comparison.grouping import Member, systems_of, why_apart
from bisum.comparison.result import BEST, DIFFERENT, SAME, UNTESTED, WORSE, Group, Pair, System
from bisum.comparison.statistics import ALPHA, Systems, holm
from bisum.config.options import CompareOptions
from bisum.errors import UserError
from bisum.evaluation.bootstrap import FEWEST_ROWS
from bisum.interfaces.score import Score

BOOTSTRAP_SEED = 0
MOST_PAIRED = 20
"""Most systems of which all pairs are tested; of more, each is tested against the best."""


def ranked(
    members: Sequence[Member],
    by: str,
    language: str,
    options: CompareOptions,
    first: Sequence[Member] | None,
    notes: list[str],
) -> Group:
    """Return a group: its systems, ranked, and their tests."""
    known = next((member.rows for member in members if member.rows is not None), None)
    languages = known.languages if known is not None else np.array([], dtype=object)
    chosen = languages == language if language else np.ones(len(languages), bool)
    counts = {str(of): int((languages[chosen] == of).sum()) for of in dict.fromkeys(languages[chosen])}
    systems = [_system(own, by, language, options.metrics, chosen, counts) for own in systems_of(members)]
    records = [member.scored.run.record for member in members]
    higher = next((record["scores"][by]["higher_is_better"] for record in records if by in record["scores"]), None)
    systems.sort(key=lambda system: _rank(system.value, higher))
    systems = [replace(system, number=at) for at, system in enumerate(systems, start=1)]
    pairs: list[Pair] = []
    tested = [system for system in systems if system.values is not None and system.rows >= FEWEST_ROWS]
    score = score_of(tested, by, notes)
    if score is not None:
        scale = score.scale
        resampled = Systems(
            [system.values for system in tested if system.values is not None], score, options.samples, BOOTSTRAP_SEED
        )
        pairs = _pairs(tested, resampled, scale)
        for at, system in enumerate(tested):
            low, high = _interval(system, at, resampled)
            lowest, highest = _range(records, by)
            systems[system.number - 1] = replace(system, low=max(scale * low, lowest), high=min(scale * high, highest))
    return Group(
        systems=tuple(_with_verdict(system, systems, pairs, higher) for system in systems),
        pairs=tuple(pairs),
        ids=known.ids.filter(pa.array(chosen.tolist())) if known is not None else None,  # NumPy would import pandas
        row_languages=languages[chosen],
        languages=counts,
        why=why_apart(members, first) if first else "",
        equal=_equal(tested, pairs),
    )


def score_of(systems: Sequence[System], by: str, notes: list[str]) -> Score | None:
    """Return the score of rows; None, with a note, if it cannot be computed again."""
    if not systems:
        return None
    values = systems[0].values
    assert values is not None
    try:
        return score_of_rows([system.runs[0].run for system in systems], by, values[0, 0] if values.ndim > 2 else None)
    except UserError as error:
        notes.append(f"{error}; the recorded scores are shown, and not tested")
        return None


def _rank(value: float | None, higher_is_better: bool | None) -> tuple[bool, float]:
    """Return a sorting key that puts the best first, and what has no score last."""
    if value is None:
        return True, 0.0
    return False, value if higher_is_better is False else -value


def _system(
    members: Sequence[Member],
    by: str,
    language: str,
    metrics: Sequence[str],
    chosen: np.ndarray[Any, Any],
    languages: Iterable[str],
) -> System:
    """Return a system without its number, interval and verdict."""
    lead = members[0].lead
    runs = [member.scored for member in members]

    def values_of(name: str, of: str = language) -> list[float | None]:
        return [run.lead_value(name, of) if lead else run.value(name, of) for run in runs]

    recorded = [value for value in values_of(by) if value is not None]
    rows = [member.rows for member in members]
    complete = [own.values[chosen] for own in rows if own is not None and own.values is not None]
    values = np.stack(complete) if len(complete) == len(rows) and chosen.any() else None
    has_value = 0 if values is None else int(np.isfinite(values).all(axis=(0, *range(2, values.ndim))).sum())
    is_whole = len(recorded) == len(runs)
    speeds = [run.run.record.get("rows_per_second") for run in runs]
    return System(
        number=0,
        label=lead,
        settings={} if lead else members[0].settings,
        is_baseline=bool(lead),
        seeds=() if lead else tuple(member.seed for member in members),
        runs=tuple(runs),
        value=statistics.fmean(recorded) if is_whole else None,
        low=None,
        high=None,
        seed_values=tuple(recorded) if is_whole else (),
        by_language={of: _mean(values_of(by, of)) for of in languages},
        metrics={name: _mean(values_of(name)) for name in metrics},
        rows_per_second=None if lead else _mean(speeds),
        parameters=None if lead else runs[0].run.record.get("parameters"),
        verdict=UNTESTED,
        rows=has_value,
        values=values if has_value else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Return a mean; None if a value is missing."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _pairs(systems: Sequence[System], resampled: Systems, scale: float) -> list[Pair]:
    """Return the tests of all pairs, or of the best against each other if there are many systems."""
    count = len(systems)
    places = [(a, b) for a in range(count if count <= MOST_PAIRED else 1) for b in range(a + 1, count)]
    tests = resampled.tests(places)
    adjusted = holm([test.p if test.rows >= FEWEST_ROWS else math.nan for test in tests])
    return [
        Pair(
            first=systems[a].number,
            second=systems[b].number,
            difference=scale * test.difference,
            low=scale * test.low,
            high=scale * test.high,
            p=test.p,
            p_adjusted=p_adjusted,
            p_randomization=test.p_randomization,
            rows=test.rows,
        )
        for (a, b), test, p_adjusted in zip(places, tests, adjusted, strict=True)
        if test.rows >= FEWEST_ROWS
    ]


def _equal(systems: Sequence[System], pairs: Sequence[Pair]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of systems whose seeds have the same scores in every row."""
    values = {system.number: system.values for system in systems}
    seeds = {system.number: system.seeds for system in systems}
    return tuple(
        (pair.first, pair.second)
        for pair in pairs
        if pair.difference == 0
        and seeds[pair.first] == seeds[pair.second]
        and np.array_equal(values[pair.first], values[pair.second], equal_nan=True)  # type: ignore[arg-type]
    )


def _interval(system: System, at: int, resampled: Systems) -> tuple[float, float]:
    """Return the ends of a system's interval, from as many resamples as its run took: one run's interval is its own."""
    samples = (system.runs[0].run.config.get("evaluation") or {}).get("bootstrap_samples")
    return resampled.interval(at, samples if type(samples) is int and samples > 0 else None)


def _range(records: Sequence[Mapping[str, Any]], by: str) -> tuple[float, float]:
    """Return the bounds of a score: what the seeds add to an interval may reach beyond."""
    lowest, highest = next(
        (record["scores"][by]["range"] for record in records if by in record["scores"]), (None, None)
    )
    return -math.inf if lowest is None else lowest, math.inf if highest is None else highest


def _with_verdict(system: System, systems: Sequence[System], pairs: Sequence[Pair], higher: bool | None) -> System:
    """Return a system with what its test against the best says."""
    best = systems[0].number
    if system.value is None:
        return system
    if system.number == best:
        return replace(system, verdict=BEST) if higher is not None else system
    pair = next((pair for pair in pairs if (pair.first, pair.second) == (best, system.number)), None)
    if pair is None or not math.isfinite(pair.p_adjusted):
        return system
    if pair.p_adjusted > ALPHA:
        return replace(system, verdict=SAME)
    return replace(system, verdict=WORSE if higher is not None else DIFFERENT)
