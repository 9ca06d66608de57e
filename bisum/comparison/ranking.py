"""Ranking of a group of systems by a score, with intervals and pairwise tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bisum.comparison.aggregates import score_of_rows
from bisum.comparison.grouping import Member, systems_of, untested_reason
from bisum.comparison.recorded_scores import ScoredRun
from bisum.comparison.result import ALPHA, BEST, DIFFERENT, SAME, UNTESTED, WORSE, Group, Pair, System
from bisum.comparison.significance import PairedTest, ResampledSystems, holm
from bisum.config.options import CompareOptions
from bisum.errors import UserError
from bisum.evaluation.bootstrap import BOOTSTRAP_SEED, MIN_ROWS
from bisum.interfaces.score import Score

_FEWEST_SAMPLES = 100
"""Minimum number of resamples that a configuration can set."""
MOST_PAIRED = 20
"""Maximum number of systems for testing all pairs; with more, each is tested only against the best."""


def ranked(
    members: Sequence[Member],
    by: str,
    language: str,
    options: CompareOptions,
    first: Sequence[Member] | None,
    before: int,
    notes: list[str],
) -> Group:
    """Return a group of ranked systems with their tests; numbering continues after `before` other systems."""
    known = next((member.rows for member in members if member.rows is not None), None)
    languages = known.languages if known is not None else np.array([], dtype=object)
    chosen = languages == language if language else np.ones(len(languages), bool)
    counts = {str(of): int((languages[chosen] == of).sum()) for of in dict.fromkeys(languages[chosen])}
    runs = [member.scored for member in members]
    systems = [_system(own, runs, by, language, options.metrics, chosen, counts) for own in systems_of(members)]
    described = next(run.run.record["scores"][by] for run in runs if by in run.run.record.get("scores", {}))
    higher = described["higher_is_better"]
    systems.sort(key=lambda system: _rank(system.value, higher))
    systems = [replace(system, number=before + at) for at, system in enumerate(systems, start=1)]
    score = score_of([system for system in systems if system.values is not None], by, notes)
    pairs: list[Pair] = []
    equal: tuple[tuple[int, int], ...] = ()
    tests = 0
    tested = [system for system in systems if score is not None and system.rows >= MIN_ROWS]
    if score is not None and tested:
        results = _Results(tested, score, options.samples)
        agreed = [system for at, system in enumerate(tested) if _agrees(system, results.seed_values(at), by, notes)]
        if len(agreed) < len(tested):
            tested, results = agreed, _Results(agreed, score, options.samples)
        pairs, equal, tests = results.pairs(), results.equal, results.tests
        for at, system in enumerate(tested):
            low, high = results.interval(at, described["range"])
            systems[system.number - before - 1] = replace(system, low=low, high=high)
    return Group(
        systems=tuple(_with_verdict(system, systems, pairs, higher, notes) for system in systems),
        pairs=tuple(pairs),
        ids=[key for key, is_chosen in zip(known.ids, chosen, strict=True) if is_chosen] if known is not None else [],
        row_languages=languages[chosen],
        languages=counts,
        why=untested_reason(members, first) if first else "",
        tests=tests,
        equal=equal,
        score=score,
    )


class _Results:
    """Tests between systems. Systems with equal scores on every row count as one in Holm's method."""

    def __init__(self, systems: Sequence[System], score: Score, samples: int) -> None:
        self._systems = systems
        self._scale = score.scale
        self._places: list[int] = []
        """Index of each system among the distinct ones."""
        place_of: dict[tuple[Any, ...], int] = {}
        different: list[System] = []
        for system in systems:
            assert system.values is not None
            place = place_of.setdefault((system.is_baseline, system.seeds, system.values.tobytes()), len(different))
            different += [system] if place == len(different) else []
            self._places.append(place)
        values = [system.values for system in different if system.values is not None]
        seedless = [at for at, system in enumerate(different) if system.is_baseline]
        self._resampled = ResampledSystems(values, score, samples, BOOTSTRAP_SEED, seedless) if values else None

    @property
    def equal(self) -> tuple[tuple[int, int], ...]:
        """Pairs of systems with equal scores on every row, seed by seed."""
        return tuple(
            (first.number, second.number)
            for a, first in enumerate(self._systems)
            for b, second in enumerate(self._systems[a + 1 :], start=a + 1)
            if self._places[a] == self._places[b]
        )

    @property
    def tests(self) -> int:
        """Number of pairs in Holm's method."""
        count = len(set(self._places))
        return count * (count - 1) // 2

    def seed_values(self, at: int) -> list[float]:
        """Return the score of each seed of a system, computed from the rows."""
        assert self._resampled is not None
        return [self._scale * float(value) for value in self._resampled.seed_values[self._places[at]]]

    def interval(self, at: int, bounds: Sequence[float | None]) -> tuple[float, float]:
        """Return the ends of a system's interval, within the bounds of its score.

        With one seed, the number of resamples is that of the run, which reproduces its recorded interval.
        """
        assert self._resampled is not None
        system = self._systems[at]
        samples = (system.runs[0].run.config.get("evaluation") or {}).get("bootstrap_samples")
        has_own = len(system.runs) == 1 and type(samples) is int and samples >= _FEWEST_SAMPLES
        low, high = self._resampled.interval(self._places[at], samples if has_own else None)
        lowest, highest = (own if end is None else end for own, end in zip((-math.inf, math.inf), bounds, strict=True))
        return max(self._scale * low, lowest), min(self._scale * high, max(highest, lowest))

    def pairs(self) -> list[Pair]:
        """Return the tests of all pairs, or only of pairs with the best if there are many distinct systems.

        The best is selected by these same scores, so Holm's method also counts the pairs that are not tested.
        """
        count = len(set(self._places))
        if self._resampled is None:
            return []
        tops = range(count if count <= MOST_PAIRED else 1)
        places = [(a, b) for a in tops for b in range(a + 1, count)]
        tests = self._resampled.tests(places)
        p_values = [test.p if test.rows >= MIN_ROWS else math.nan for test in tests]
        adjusted = holm(p_values, untested=self.tests - len(places))
        found = {place: (test, p) for place, test, p in zip(places, tests, adjusted, strict=True)}
        pairs = []
        for a, first in enumerate(self._systems):
            if count > MOST_PAIRED and self._places[a] > 0:
                continue
            for b, second in enumerate(self._systems[a + 1 :], start=a + 1):
                low, high = sorted((self._places[a], self._places[b]))
                if low == high:
                    pairs.append(Pair(first.number, second.number, 0, 0, 0, 1, 1, 1, first.rows))
                elif (low, high) in found:
                    pairs.append(self._pair(first, second, *found[low, high], swapped=low != self._places[a]))
        return [pair for pair in pairs if pair.rows >= MIN_ROWS]

    def _pair(self, first: System, second: System, test: PairedTest, p_adjusted: float, *, swapped: bool) -> Pair:
        pair = Pair(
            first=first.number,
            second=second.number,
            difference=self._scale * test.difference,
            low=self._scale * test.low,
            high=self._scale * test.high,
            p=test.p,
            p_adjusted=p_adjusted,
            p_randomization=test.p_randomization,
            rows=test.rows,
        )
        return replace(pair.swapped, first=first.number, second=second.number) if swapped else pair


def _agrees(system: System, of_rows: Sequence[float], by: str, notes: list[str]) -> bool:
    """Return whether a system's recorded scores match its rows; add a note if they do not."""
    for run, recorded, found in zip(system.runs, system.seed_values, of_rows, strict=True):
        if not math.isclose(recorded, found, rel_tol=1e-6, abs_tol=1e-6):
            notes.append(
                f"'{run.run.directory}': the recorded {by} is {recorded:.4g}, but its rows give {found:.4g}; "
                "the score is shown but not tested"
            )
            return False
    return True


def score_of(systems: Sequence[System], by: str, notes: list[str]) -> Score | None:
    """Return the score's definition; None, with a note, if it cannot be recomputed from rows."""
    if not systems:
        return None
    values = systems[0].values
    assert values is not None
    try:
        return score_of_rows([system.runs[0].run for system in systems], by, values[0, 0] if values.ndim > 2 else None)
    except UserError as error:
        notes.append(f"{error}; the recorded scores are shown but not tested")
        return None


def _rank(value: float | None, higher_is_better: bool | None) -> tuple[bool, float]:
    """Return a sort key that puts the best first and systems without a score last."""
    if value is None:
        return True, 0.0
    return False, value if higher_is_better is False else -value


def _system(
    members: Sequence[Member],
    group: Sequence[ScoredRun],
    by: str,
    language: str,
    metrics: Sequence[str],
    chosen: np.ndarray[Any, Any],
    languages: Iterable[str],
) -> System:
    """Return a system without number, interval and verdict; `group` has all runs that scored the same rows."""
    lead = members[0].lead
    runs = [member.scored for member in members]

    def values_of(name: str, of: str = language) -> list[float | None]:
        if not lead:
            return [run.value(name, of) for run in runs]
        of_lead = (run.lead_value(name, of) for run in [*runs, *group] if run.lead_name == lead)
        return [next((value for value in of_lead if value is not None), None)]

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
    """Return the mean; None if a value is missing."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _with_verdict(
    system: System, systems: Sequence[System], pairs: Sequence[Pair], higher: bool | None, notes: list[str]
) -> System:
    """Return a system with the verdict of its test against the best."""
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
    if higher is not None and (pair.difference > 0) != higher:
        notes.append(f"{system.number} scores better than {best} on the {pair.rows:,} rows where both have a value")
        return system
    return replace(system, verdict=WORSE if higher is not None else DIFFERENT)
