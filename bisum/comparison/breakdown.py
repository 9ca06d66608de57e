"""Where two systems differ: wins and losses by language, lengths and category, and the rows that differ most."""

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
from bisum.evaluation.bootstrap import BOOTSTRAP_SEED, FEWEST_ROWS, interval, without_rounding
from bisum.evaluation.row_scores import aggregated

_SAMPLES = 1000
_PARTS = 4
"""Buckets of lengths, each with about as many rows."""
_MOST_CATEGORIES = 10


@dataclass(frozen=True)
class Bucket:
    """Rows of one kind."""

    name: str
    rows: int
    wins: int
    """Rows in which the first system has the better score."""
    ties: int
    losses: int
    difference: float
    """Mean over rows of the first system's score minus the second's."""
    low: float | None
    """Lower end of the 95 % interval of the mean; None with too few rows."""
    high: float | None


@dataclass(frozen=True)
class Row:
    """A scored row, with the summaries of systems."""

    id: str
    language: str
    category: str | None
    document: str
    reference: str
    summaries: Mapping[str, str]
    """By the number of the system; of several seeds, the first's."""
    scores: Mapping[str, float | None]
    """The row's scores by the number of the system, each the mean of its seeds."""


@dataclass(frozen=True)
class Where:
    """Where two systems differ."""

    first: System
    second: System
    buckets: Mapping[str, tuple[Bucket, ...]]
    """By what divides the rows: language, document length, reference length, category."""
    rows: tuple[Row, ...]
    """The rows that differ most."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "first": self.first.number,
            "second": self.second.number,
            "buckets": {name: [asdict(bucket) for bucket in buckets] for name, buckets in self.buckets.items()},
            "rows": [asdict(row) for row in self.rows],
        }


def where(comparison: Comparison, pair: Sequence[int] | None, rows: int) -> Where | None:
    """Return where two systems of a group differ; None if there are no two with scores of rows.

    Args:
        comparison: what they were compared by.
        pair: their numbers; None: the best model of the first group and the next system that differs from it.
        rows: number of rows to return, those with the largest differences.

    Raises:
        UserError: `pair` names no two systems of a group, or their texts are missing.
    """
    chosen = _chosen(comparison, pair)
    if chosen is None:
        return None
    group, first, second = chosen
    apart = differences(first, second, group)
    both = [(system, texts_of(group, system)) for system in (first, second)]
    order = np.argsort(-np.abs(np.nan_to_num(apart)), kind="stable")[:rows]
    shown = [int(at) for at in order if np.isfinite(apart[at]) and apart[at] != 0]
    sign = -1 if comparison.score["higher_is_better"] is False else 1
    divided = {
        name: tuple(_bucket(label, apart[mask], sign) for label, mask in parts if np.isfinite(apart[mask]).any())
        for name, parts in _divisions(both[0][1]).items()
    }
    return Where(first, second, divided, tuple(rows_of(group, both, shown)))


def differences(first: System, second: System, group: Group) -> NDArray[np.float64]:
    """Return the first system's score minus the second's for each row, NaN where one has none: shape (rows,)."""
    ours, theirs = row_scores(first, group), row_scores(second, group)
    return without_rounding(ours - theirs, float(np.nanmax(np.abs([ours, theirs]), initial=1)))


def row_scores(system: System, group: Group) -> NDArray[np.float64]:
    """Return the score of each row, the mean of the seeds, as it is reported: shape (rows,)."""
    assert system.values is not None
    assert group.score is not None
    values = system.values if group.score.aggregate is None else aggregated(group.score, system.values)
    scaled: NDArray[np.float64] = group.score.scale * values.mean(axis=0)
    return scaled


def texts_of(group: Group, system: System) -> list[dict[str, Any]]:
    """Return the rows of a group, in its order, with the summaries of a system's first seed.

    Raises:
        UserError: the file is missing, damaged, or of other rows.
    """
    run = system.runs[0]
    name = run.lead if system.is_baseline and run.lead is not None else run.predictions
    by_id = {row["id"]: row for row in read_texts(run.run, name)}
    try:
        return [by_id[key] for key in group.ids]
    except KeyError as error:
        path = run.run.directory / "predictions" / f"{name}.jsonl"
        raise UserError(f"'{path}' lacks the row {error}, which has scores") from error


def rows_of(
    group: Group, systems: Sequence[tuple[System, Sequence[Mapping[str, Any]]]], places: Sequence[int]
) -> Iterator[Row]:
    """Yield rows of a group at some places, with the summaries and scores of systems, given with their texts."""
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


def _chosen(comparison: Comparison, pair: Sequence[int] | None) -> tuple[Group, System, System] | None:
    """Return a group, and the two of its systems to compare row by row."""
    groups = [
        (group, {system.number: system for system in group.systems if system.values is not None})
        for group in comparison.groups
        if group.score is not None
    ]
    if pair is not None:
        return _named(groups, pair)
    for group, systems in groups[:1]:
        ordered = sorted(systems.values(), key=lambda system: system.is_baseline)
        if len(ordered) > 1:
            best, *others = ordered
            differing = (other for other in others if np.nan_to_num(differences(best, other, group)).any())
            return group, best, next(differing, others[0])
    return None


def _named(groups: Sequence[tuple[Group, dict[int, System]]], pair: Sequence[int]) -> tuple[Group, System, System]:
    """Return the two systems with the numbers of `pair`."""
    numbers = "; ".join(", ".join(map(str, systems)) for _, systems in groups)
    if not numbers:
        raise UserError("pair: no system has scores of rows")
    if pair[0] == pair[1]:
        raise UserError(f"pair: {pair[0]} is named twice; give two of {numbers}")
    for number in pair:
        if not any(number in systems for _, systems in groups):
            raise UserError(f"pair: no system {number} with scores of rows; give two of {numbers}")
    for group, systems in groups:
        if all(number in systems for number in pair):
            return group, systems[pair[0]], systems[pair[1]]
    raise UserError(f"pair: {pair[0]} and {pair[1]} were scored on different rows; give two of {numbers}")


Division = list[tuple[str, NDArray[np.bool_]]]


def _divisions(texts: Sequence[Mapping[str, Any]]) -> dict[str, Division]:
    """Return the divisions of rows into buckets, those with at least two."""
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
    """Return the rows of each name, the most frequent first, and of all further ones together."""
    order = [name for name, _ in Counter(names.tolist()).most_common()]
    shown = order if len(order) <= _MOST_CATEGORIES else order[: _MOST_CATEGORIES - 1]
    parts: Division = [(name or "(none)", names == name) for name in shown]
    if len(order) > len(shown):
        among = set(shown)
        rest = np.array([name not in among for name in names.tolist()], dtype=bool)
        parts.append((f"{len(order) - len(shown)} others", rest))
    return parts


def _by_length(lengths: NDArray[np.int64]) -> Division:
    """Return rows in quarters by their length in words."""
    ends = np.unique(np.quantile(lengths, np.linspace(0, 1, _PARTS + 1)[1:], method="lower"))
    parts: Division = []
    low = int(lengths.min())
    for end in map(int, ends):
        parts.append((f"{low}-{end} words" if low < end else f"{end} words", (lengths >= low) & (lengths <= end)))
        low = end + 1
    return parts


def _bucket(name: str, apart: NDArray[np.float64], sign: int) -> Bucket:
    apart = apart[np.isfinite(apart)]
    low, high = interval(apart, _SAMPLES, BOOTSTRAP_SEED) if len(apart) >= FEWEST_ROWS else (None, None)
    return Bucket(
        name=name,
        rows=len(apart),
        wins=int((sign * apart > 0).sum()),
        ties=int((apart == 0).sum()),
        losses=int((sign * apart < 0).sum()),
        difference=float(apart.mean()),
        low=None if low is None else float(low),
        high=None if high is None else float(high),
    )
