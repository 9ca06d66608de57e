"""Where two systems differ: wins and losses by language, length and category, and the rows that differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bisum.comparison.recorded_scores import read_texts
from bisum.comparison.result import Comparison, Group, System
from bisum.errors import UserError
from bisum.evaluation.bootstrap import BOOTSTRAP_SEED, MIN_ROWS, interval, without_rounding
from bisum.evaluation.row_scores import aggregated

_SAMPLES = 1000
_LENGTH_BUCKETS = 4
"""Number of length buckets, with about equal numbers of rows."""
_MOST_CATEGORIES = 10


@dataclass(frozen=True)
class Bucket:
    """Rows that share a language, category or range of lengths."""

    name: str
    rows: int
    wins: int
    """Rows on which the first system scores better."""
    ties: int
    losses: int
    difference: float
    """First system's score minus the second's, averaged over rows."""
    low: float | None
    """Lower end of the 95% interval of `difference`; None with too few rows."""
    high: float | None


@dataclass(frozen=True)
class Row:
    """A scored row with each system's summary."""

    id: str
    language: str
    category: str | None
    document: str
    reference: str
    summaries: Mapping[str, str]
    """Summaries by system number, from the first seed."""
    scores: Mapping[str, float | None]
    """Scores by system number, averaged over seeds."""


@dataclass(frozen=True)
class Where:
    """Where two systems differ."""

    first: System
    second: System
    buckets: Mapping[str, tuple[Bucket, ...]]
    """Buckets by division: language, document length, reference length, category."""
    rows: tuple[Row, ...]
    """The rows that differ most."""

    def to_dict(self) -> dict[str, Any]:
        """Return the breakdown as plain data."""
        return {
            "first": self.first.number,
            "second": self.second.number,
            "buckets": {name: [asdict(bucket) for bucket in buckets] for name, buckets in self.buckets.items()},
            "rows": [asdict(row) for row in self.rows],
        }


def where(comparison: Comparison, pair: Sequence[int] | None, rows: int) -> Where | None:
    """Return where two systems of a group differ; None if fewer than two have row scores.

    Args:
        comparison: the comparison of the systems.
        pair: the systems' numbers; None: the best model of the first group and the next system that differs from it.
        rows: number of rows to return: those with the largest differences.

    Raises:
        UserError: `pair` does not name two systems of one group, or their texts are missing.
    """
    chosen = _select(comparison, pair)
    if chosen is None:
        return None
    group, first, second = chosen
    deltas = differences(first, second, group)
    both = [(system, texts_of(group, system)) for system in (first, second)]
    order = np.argsort(-np.abs(np.nan_to_num(deltas)), kind="stable")[:rows]
    shown = [int(at) for at in order if np.isfinite(deltas[at]) and deltas[at] != 0]
    sign = -1 if comparison.score["higher_is_better"] is False else 1
    divided = {
        name: tuple(_bucket(label, deltas[mask], sign) for label, mask in parts if np.isfinite(deltas[mask]).any())
        for name, parts in _divisions(both[0][1]).items()
    }
    return Where(first, second, divided, tuple(rows_of(group, both, shown)))


def differences(first: System, second: System, group: Group) -> NDArray[np.float64]:
    """Return the first system's score minus the second's per row, NaN if either is missing: shape (rows,)."""
    ours, theirs = row_scores(first, group), row_scores(second, group)
    return without_rounding(ours - theirs, float(np.nanmax(np.abs([ours, theirs]), initial=1)))


def row_scores(system: System, group: Group) -> NDArray[np.float64]:
    """Return each row's score on the reported scale, averaged over seeds: shape (rows,)."""
    assert system.values is not None
    assert group.score is not None
    values = system.values if group.score.aggregate is None else aggregated(group.score, system.values)
    scaled: NDArray[np.float64] = group.score.scale * values.mean(axis=0)
    return scaled


def texts_of(group: Group, system: System) -> list[dict[str, Any]]:
    """Return a group's rows, in its order, with the summaries of a system's first seed.

    Raises:
        UserError: the file is missing or damaged, or lacks a row.
    """
    run = system.runs[0]
    name = run.lead if system.is_baseline and run.lead is not None else run.predictions
    by_id = {row["id"]: row for row in read_texts(run.run, name)}
    try:
        return [by_id[key] for key in group.ids]
    except KeyError as error:
        path = run.run.directory / "predictions" / f"{name}.jsonl"
        raise UserError(f"'{path}': missing row {error}, which has scores") from error


def rows_of(
    group: Group, systems: Sequence[tuple[System, Sequence[Mapping[str, Any]]]], places: Sequence[int]
) -> Iterator[Row]:
    """Yield a group's rows at `places`; `systems` pairs each system with its texts."""
    summaries = {system.number: texts for system, texts in systems}
    scores = {system.number: row_scores(system, group) for system, _ in systems}
    for at in places:
        row = systems[0][1][at]
        yield Row(
            id=row["id"],
            language=row["language"],
            category=_category(row),
            document=row["document"],
            reference=row["reference"],
            summaries={str(number): own[at]["prediction"] for number, own in summaries.items()},
            scores={str(number): float(own[at]) if np.isfinite(own[at]) else None for number, own in scores.items()},
        )


def _category(row: Mapping[str, Any]) -> str | None:
    category = row.get("category")
    return category if isinstance(category, str) else None


def _select(comparison: Comparison, pair: Sequence[int] | None) -> tuple[Group, System, System] | None:
    """Return a group and two of its systems to compare row by row."""
    groups = [
        (group, {system.number: system for system in group.systems if system.values is not None})
        for group in comparison.groups
        if group.score is not None
    ]
    if pair is not None:
        return _numbered(groups, pair)
    for group, systems in groups[:1]:
        ordered = sorted(systems.values(), key=lambda system: system.is_baseline)
        if len(ordered) > 1:
            best, *others = ordered
            differing = (other for other in others if np.nan_to_num(differences(best, other, group)).any())
            return group, best, next(differing, others[0])
    return None


def _numbered(groups: Sequence[tuple[Group, dict[int, System]]], pair: Sequence[int]) -> tuple[Group, System, System]:
    """Return the two systems numbered `pair`, with their group."""
    numbers = "; ".join(", ".join(map(str, systems)) for _, systems in groups)
    if not numbers:
        raise UserError("pair: no system has row scores")
    if pair[0] == pair[1]:
        raise UserError(f"pair: {pair[0]} is repeated; choose two of {numbers}")
    for number in pair:
        if not any(number in systems for _, systems in groups):
            raise UserError(f"pair: no system {number} with row scores; choose two of {numbers}")
    for group, systems in groups:
        if all(number in systems for number in pair):
            return group, systems[pair[0]], systems[pair[1]]
    raise UserError(f"pair: {pair[0]} and {pair[1]} were scored on different rows; choose two of {numbers}")


Division = list[tuple[str, NDArray[np.bool_]]]


def _divisions(texts: Sequence[Mapping[str, Any]]) -> dict[str, Division]:
    """Return the divisions of the rows, except those with a single bucket."""
    from bisum.evaluation.tokens import unicode_tokens  # slow to import

    languages = np.array([row["language"] for row in texts], dtype=object)
    categories = np.array([_category(row) or "" for row in texts], dtype=object)
    divisions = {"language": _by_name(languages)}
    for label, name in (("document length", "document"), ("reference length", "reference")):
        divisions[label] = _by_length(
            np.array([len(unicode_tokens(row[name], row["language"], stemmed=False)) for row in texts])
        )
    divisions["category"] = _by_name(categories)
    return {name: parts for name, parts in divisions.items() if len(parts) > 1}


def _by_name(names: NDArray[np.object_]) -> Division:
    """Return a bucket per name, most frequent first, and one for the remaining names."""
    order = [name for name, _ in Counter(names.tolist()).most_common()]
    shown = order if len(order) <= _MOST_CATEGORIES else order[: _MOST_CATEGORIES - 1]
    parts: Division = [(name or "(none)", names == name) for name in shown]
    if len(order) > len(shown):
        among = set(shown)
        rest = np.array([name not in among for name in names.tolist()], dtype=bool)
        parts.append((f"{len(order) - len(shown)} others", rest))
    return parts


def _by_length(lengths: NDArray[np.int64]) -> Division:
    """Divide the rows into quarters by length in words."""
    ends = np.unique(np.quantile(lengths, np.linspace(0, 1, _LENGTH_BUCKETS + 1)[1:], method="lower"))
    parts: Division = []
    low = int(lengths.min())
    for end in map(int, ends):
        parts.append((f"{low}-{end} words" if low < end else f"{end} words", (lengths >= low) & (lengths <= end)))
        low = end + 1
    return parts


def _bucket(name: str, deltas: NDArray[np.float64], sign: int) -> Bucket:
    deltas = deltas[np.isfinite(deltas)]
    low, high = interval(deltas, _SAMPLES, BOOTSTRAP_SEED) if len(deltas) >= MIN_ROWS else (None, None)
    return Bucket(
        name=name,
        rows=len(deltas),
        wins=int((sign * deltas > 0).sum()),
        ties=int((deltas == 0).sum()),
        losses=int((sign * deltas < 0).sum()),
        difference=float(deltas.mean()),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
    )
