"""Runs put together: those that scored the same rows, and among them those that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bisum.comparison.aggregates import settings_of_metrics
from bisum.comparison.scored import RowValues, ScoredRun, read_rows
from bisum.comparison.settings import hashable, settings_of
from bisum.errors import UserError


@dataclass(frozen=True)
class Member:
    """One run of a group, or its baseline."""

    scored: ScoredRun
    settings: Mapping[str, Any]
    seed: int
    rows: RowValues | None
    lead: str = ""
    """Name of the baseline, such as lead-3; "" for a model."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What the runs of one system have in common."""
        return (self.lead,) if self.lead else ("", *hashable(self.settings))


def grouped(runs: Sequence[ScoredRun], by: str, language: str, notes: list[str]) -> list[list[Member]]:
    """Return the runs that scored the same rows, each group with its baselines, the largest first.

    `notes` gets a line on each file of scores that cannot be read.
    """
    members: dict[tuple[str, str], list[Member]] = {}
    of_metrics = settings_of_metrics([run.run for run in runs], by)
    for run, of_metric in zip(runs, of_metrics, strict=True):
        rows = _rows(run, run.predictions, by, notes)
        group = members.setdefault((rows.fingerprint if rows else f"? {run.run.directory}", of_metric), [])
        if run.prefix == "baseline":
            lead = str(run.lead_metrics.get("system"))
            if all(member.lead != lead for member in group):
                group.append(Member(run, {}, 0, rows, lead))
            continue
        seed = run.run.config.get("seed")
        group.append(Member(run, settings_of(run.run), seed if type(seed) is int else 0, rows))
        lead = f"lead-{(run.lead or '').rpartition('lead')[2]}"
        if run.lead and all(member.lead != lead for member in group) and run.lead_value(by, language) is not None:
            group.append(Member(run, {}, 0, _rows(run, run.lead, by, notes), lead))
    return sorted(members.values(), key=lambda group: -sum(not member.lead for member in group))


def _rows(run: ScoredRun, predictions: str, by: str, notes: list[str]) -> RowValues | None:
    """Return the values of rows; None, with a note, if they cannot be read."""
    try:
        return read_rows(run.run, predictions, by)
    except UserError as error:
        notes.append(f"{error}; the recorded score is shown, and not tested")
        return None


def systems_of(members: Sequence[Member]) -> list[list[Member]]:
    """Put together the runs that differ in their seed alone; a repeated seed begins another system."""
    systems: dict[tuple[Any, ...], list[list[Member]]] = {}
    for member in sorted(members, key=lambda member: str(member.scored.run.record.get("started", ""))):
        repeats = systems.setdefault(member.key, [])
        free = next((own for own in repeats if all(other.seed != member.seed for other in own)), None)
        if free is None:
            repeats.append([member])
        else:
            free.append(member)
    for repeats in systems.values():
        for own in repeats if len(repeats) > 1 else []:
            directory = str(own[0].scored.run.directory)
            own[:] = [replace(member, settings={**member.settings, "run": directory}) for member in own]
    return [sorted(own, key=lambda member: member.seed) for repeats in systems.values() for own in repeats]


def why_apart(members: Sequence[Member], first: Sequence[Member]) -> str:
    """Return why systems cannot be tested against those of the first group."""
    ours, theirs = (next((member.rows for member in own if member.rows), None) for own in (members, first))
    if ours is None or theirs is None:
        return "the scores of rows are missing"
    if ours.fingerprint == theirs.fingerprint:
        return "the score was computed with other settings"
    own, other = set(ours.ids.to_pylist()), set(theirs.ids.to_pylist())
    if own == other:
        return "the rows have the same ids, but other documents or references"
    return f"other rows were scored: {len(own):,} in place of {len(other):,}, of which {len(own & other):,} are shared"
