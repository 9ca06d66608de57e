"""The result of a comparison, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bisum.comparison.finding import OtherRun
from bisum.comparison.importance import Importance
from bisum.comparison.recorded_scores import ScoredRun
from bisum.comparison.settings import shown
from bisum.interfaces.score import Score

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ALPHA = 0.05
"""Significance level."""
BEST = "best"
SAME = "not distinguishable from the best"
WORSE = "worse than the best"
DIFFERENT = "different from the best"
"""The verdict if neither higher nor lower is better."""
UNTESTED = "not tested"


@dataclass(frozen=True)
class System:
    """Runs that differ only in the seed, or a baseline."""

    number: int
    """Rank in the table, from 1 for the best."""
    label: str
    """The settings that distinguish it, as command-line arguments; or lead-k."""
    settings: Mapping[str, Any]
    """Values of the keys that differ."""
    is_baseline: bool
    seeds: tuple[int | None, ...]
    runs: tuple[ScoredRun, ...]
    """One per seed; for a baseline, the run that scored it."""
    value: float | None
    """The score, averaged over seeds."""
    low: float | None
    """Lower end of the 95% interval of `value`."""
    high: float | None
    seed_values: tuple[float, ...]
    by_language: Mapping[str, float | None]
    """The score on the rows of each language."""
    metrics: Mapping[str, float | None]
    """Further requested scores, averaged over seeds."""
    rows_per_second: float | None
    parameters: int | None
    verdict: str
    rows: int
    """Rows with a value of the score."""
    values: NDArray[np.float64] | None = field(repr=False, compare=False)
    """Unscaled row values: shape (seeds, rows) or (seeds, rows, counts)."""

    def to_dict(self) -> dict[str, Any]:
        """Return the system as plain data."""
        return {
            "number": self.number,
            "label": self.label,
            "settings": dict(self.settings),
            "is_baseline": self.is_baseline,
            "seeds": list(self.seeds),
            "runs": [str(run.run.directory) for run in self.runs],
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "seed_values": list(self.seed_values),
            "is_best": self.verdict == BEST,
            "verdict": self.verdict,
            "rows": self.rows,
            "by_language": dict(self.by_language),
            "metrics": dict(self.metrics),
            "rows_per_second": self.rows_per_second,
            "parameters": self.parameters,
        }


@dataclass(frozen=True)
class Pair:
    """The test of two systems on the same rows."""

    first: int
    """Number of a system."""
    second: int
    difference: float
    """First minus second."""
    low: float
    high: float
    p: float
    """Two-sided p-value of no difference."""
    p_adjusted: float
    """`p` adjusted by Holm's method over all pairs of the group."""
    p_randomization: float
    """Unadjusted p-value by approximate randomization of rows."""
    rows: int
    """Number of rows where both have a value."""

    @property
    def swapped(self) -> Pair:
        """The same test with the systems swapped."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            difference=-self.difference,
            low=-self.high,
            high=-self.low,
        )


@dataclass(frozen=True)
class Group:
    """Systems that were scored on the same rows, and the tests between them."""

    systems: tuple[System, ...]
    """The best first."""
    pairs: tuple[Pair, ...]
    ids: list[str] = field(repr=False, compare=False)
    row_languages: NDArray[np.object_] = field(repr=False, compare=False)
    languages: Mapping[str, int]
    """Number of rows of each language."""
    why: str
    """Why the group is not compared with the first; "" for the first."""
    tests: int = 0
    """Number of pairs in Holm's method: all pairs of systems, except those equal on every row."""
    equal: tuple[tuple[int, int], ...] = ()
    """Pairs of systems with equal scores on every row, seed by seed."""
    keys: tuple[str, ...] = ()
    """Configuration keys that differ between its systems."""
    shared: Mapping[str, Any] = field(default_factory=dict)
    """Values of the keys that differ only between groups."""
    importance: Importance | None = None
    """How much each key matters for the score; only for a first group with enough systems, otherwise None."""
    score: Score | None = field(default=None, repr=False, compare=False)
    """Definition of the score; None without row values, or if it cannot be computed from counts."""

    @property
    def rows(self) -> int:
        """Number of rows compared."""
        return sum(self.languages.values())

    def pair(self, first: int, second: int) -> Pair | None:
        """Return the test of two systems, the first minus the second, by number; None if they were not tested."""
        both = (pair for pair in self.pairs if {pair.first, pair.second} == {first, second})
        found = next(both, None)
        return found.swapped if found is not None and found.first != first else found

    def minus_best(self, system: System) -> Pair | None:
        """Return the test of a system minus the best; None for the best itself and untested systems."""
        best = self.systems[0]
        return self.pair(system.number, best.number) if system is not best else None

    def verdict(self, pair: Pair) -> str:
        """Return the outcome of a test, such as `3 is better`."""
        if not pair.p_adjusted <= ALPHA:
            return "not distinguishable"
        higher_is_better = None if self.score is None else self.score.higher_is_better
        upper, lower = (pair.first, pair.second) if pair.difference > 0 else (pair.second, pair.first)
        if higher_is_better is None:
            return f"{upper} is higher"
        return f"{upper if higher_is_better else lower} is better"

    def to_dict(self) -> dict[str, Any]:
        """Return the group as plain data."""
        return {
            "rows": self.rows,
            "languages": dict(self.languages),
            "why": self.why,
            "keys": list(self.keys),
            "shared": dict(self.shared),
            "importance": None if self.importance is None else self.importance.to_dict(),
            "tests": self.tests,
            "equal": [list(pair) for pair in self.equal],
            "systems": [system.to_dict() for system in self.systems],
            "pairs": [{**asdict(pair), "verdict": self.verdict(pair)} for pair in self.pairs],
        }


@dataclass(frozen=True)
class Comparison:
    """Which systems are better, by how much, and whether the differences are real."""

    split: str
    by: str
    """The score that systems are ranked by, such as rougeL."""
    language: str
    """Code of the language whose rows are compared; "" for all."""
    score: Mapping[str, Any]
    """Description of the score: description, higher_is_better, range, scale, unit."""
    metrics: Mapping[str, Mapping[str, Any]]
    """Descriptions of the further scores, by name."""
    keys: tuple[str, ...]
    """Configuration keys that differ between the systems."""
    groups: tuple[Group, ...]
    """The largest first. Systems of different groups were scored on different rows, so no test compares them."""
    others: tuple[OtherRun, ...]
    """Runs without scores to compare."""
    notes: tuple[str, ...]
    samples: int
    """Number of resamples per test."""

    @property
    def systems(self) -> tuple[System, ...]:
        """The systems of the first group, the best first."""
        return self.groups[0].systems if self.groups else ()

    @property
    def best(self) -> System | None:
        """The best system of the first group; None if there is none."""
        return next((system for system in self.systems if system.verdict == BEST), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data, ready for JSON."""
        return {
            "split": self.split,
            "by": self.by,
            "language": self.language,
            "score": dict(self.score),
            "metrics": {name: dict(score) for name, score in self.metrics.items()},
            "keys": list(self.keys),
            "samples": self.samples,
            "groups": [group.to_dict() for group in self.groups],
            "others": [
                {"run": str(other.directory), "status": other.status, "reason": other.reason} for other in self.others
            ],
            "notes": list(self.notes),
        }

    def to_arrow(self) -> pa.Table:
        """Return a table with a row per system; convert it with `.to_pandas()` or `polars.from_arrow`."""
        import pyarrow as pa

        rows = list(self.rows())
        names = dict.fromkeys(name for row in rows for name in row)  # languages differ between groups
        return pa.table({name: [row.get(name) for row in rows] for name in names})

    def pairs_to_arrow(self) -> pa.Table:
        """Return a table with a row per test."""
        import pyarrow as pa

        rows = [{"group": at, **asdict(pair)} for at, group in enumerate(self.groups, 1) for pair in group.pairs]
        return pa.Table.from_pylist(rows)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the values of each system by column name; all texts can be encoded as UTF-8."""
        for at, group in enumerate(self.groups, start=1):
            for system in group.systems:
                own = system.to_dict()
                settings, metrics = own.pop("settings"), own.pop("metrics")
                of = {f"{self.by} {language}": value for language, value in own.pop("by_language").items()}
                named = {key: shown(settings[key]) if key in settings else None for key in self.keys}
                pair = group.minus_best(system)
                against = {
                    "minus_best": None if pair is None else pair.difference,
                    "p": None if pair is None else pair.p,
                    "p_adjusted": None if pair is None else pair.p_adjusted,
                }
                row = {"group": at, "scored_rows": group.rows, **named, **own, **against, **of}
                row |= {f"metric.{name}" if name in row else name: value for name, value in metrics.items()}
                yield {_encodable(name): _encodable(value) for name, value in row.items()}


def _encodable(value: Any) -> Any:
    """Escape lone surrogates in a value; they represent the bytes of a name that is not UTF-8."""
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
