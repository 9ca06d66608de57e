"""Grouping of runs: by the rows that they scored and, among those, into systems that differ only in the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bisum.comparison.aggregates import settings_of_metric
from bisum.comparison.recorded_scores import RowValues, ScoredRun, read_rows
from bisum.comparison.settings import from_environment, hashable, settings_of
from bisum.errors import UserError
from bisum.runs.entries import WHOLE


@dataclass(frozen=True)
class Member:
    """One run of a group, or its baseline."""

    scored: ScoredRun
    settings: Mapping[str, Any]
    seed: int | None
    """None if unknown, and for a baseline."""
    rows: RowValues | None
    lead: str = ""
    """Name of the baseline, such as lead-3; "" for a model."""

    @property
    def key(self) -> tuple[Any, ...]:
        """Key shared by the runs of one system."""
        return (self.lead,) if self.lead else ("", *hashable(self.settings))


def grouped(runs: Sequence[ScoredRun], by: str, language: str, notes: list[str]) -> list[list[Member]]:
    """Group the runs that scored the same rows, with their baselines; the largest group comes first.

    Unreadable score files are reported in `notes`.
    """
    members: dict[tuple[Any, ...], list[Member]] = {}
    for run in runs:
        rows = _rows(run, run.predictions, by, notes)
        group = members.setdefault((*_key(rows, run), settings_of_metric(run.run, by)), [])
        rows = _with_same_counts(rows, group, run, notes)
        if run.prefix == "baseline":
            lead = str(run.lead_metrics.get("system"))
            if all(member.lead != lead for member in group):
                group.append(Member(run, {}, None, rows, lead))
            continue
        settings, seed = settings_of(run.run), run.run.config.get("seed")
        if not WHOLE.fits(seed):
            seed, settings = None, {**settings, "run": str(run.run.directory)}
        if unknown := from_environment(run.run, settings):
            notes.append(
                f"'{run.run.directory}': {', '.join(unknown)} came from the environment without a recorded value; "
                "the run is treated as a separate system"
            )
            settings = {**settings, "run": str(run.run.directory)}
        group.append(Member(run, settings, seed, rows))
        lead = run.lead_name
        known = next((member for member in group if member.lead == lead), None)
        if run.lead is None or run.lead_value(by, language) is None or (known is not None and known.rows is not None):
            continue
        of_lead = _rows(run, run.lead, by, notes)
        if rows is not None and of_lead is not None and _key(of_lead, run) != _key(rows, run):
            notes.append(f"{lead} of '{run.run.directory}' was scored on different rows; it is shown but not tested")
            of_lead = None
        if known is not None:
            group.remove(known)
        group.append(Member(run, {}, None, _with_same_counts(of_lead, group, run, notes), lead))
    return sorted(members.values(), key=lambda group: -sum(not member.lead for member in group))


def _rows(run: ScoredRun, predictions: str, by: str, notes: list[str]) -> RowValues | None:
    """Return the row values; None, with a note, if they cannot be read."""
    try:
        return read_rows(run.run, predictions, by)
    except UserError as error:
        notes.append(f"{error}; the recorded score is shown but not tested")
        return None


def _key(rows: RowValues | None, run: ScoredRun) -> tuple[Any, ...]:
    """Return a key shared by runs that scored the same rows; the run's own if its rows are unknown."""
    return ("", run.run.directory) if rows is None else (rows.fingerprint, *rows.ids, *rows.languages)


def _with_same_counts(
    rows: RowValues | None, group: Sequence[Member], run: ScoredRun, notes: list[str]
) -> RowValues | None:
    """Return `rows`; drop the values, with a note, if their counts per row differ from the group's."""
    first = next((own.rows.values for own in group if own.rows is not None and own.rows.values is not None), None)
    if rows is None or rows.values is None or first is None or rows.values.shape == first.shape:
        return rows
    notes.append(
        f"'{run.run.directory}' has a different number of counts per row; the recorded score is shown but not tested"
    )
    return replace(rows, values=None)


def systems_of(members: Sequence[Member]) -> list[list[Member]]:
    """Group the runs that differ only in the seed into systems; a repeated seed starts another system."""
    systems: dict[tuple[Any, ...], list[list[Member]]] = {}
    for member in sorted(members, key=lambda member: str(member.scored.run.record.get("started", ""))):
        repeats = systems.setdefault(member.key, [])
        free = next((own for own in repeats if all(other.seed not in (member.seed, None) for other in own)), None)
        if free is None:
            repeats.append([member])
        else:
            free.append(member)
    for repeats in systems.values():
        for own in repeats if len(repeats) > 1 else []:
            directory = str(own[0].scored.run.directory)
            own[:] = [replace(member, settings={**member.settings, "run": directory}) for member in own]
    return [sorted(own, key=lambda member: member.seed or 0) for repeats in systems.values() for own in repeats]


def untested_reason(members: Sequence[Member], first: Sequence[Member]) -> str:
    """Return why systems cannot be tested against those of the first group."""
    ours, theirs = (_model_rows(own) for own in (members, first))
    if ours is None or theirs is None:
        return "row scores are missing"
    if ours.fingerprint == theirs.fingerprint and ours.ids == theirs.ids:
        return "the score was computed with different settings"
    own, other = set(ours.ids), set(theirs.ids)
    if own == other:
        return "the row ids match, but the documents or references differ"
    return f"{len(own):,} rows were scored instead of {len(other):,} ({len(own & other):,} in common)"


def _model_rows(members: Sequence[Member]) -> RowValues | None:
    """Return the rows that a group's models scored, or its baselines if it has no models."""
    models = [member for member in members if not member.lead] or members
    return next((member.rows for member in models if member.rows), None)
