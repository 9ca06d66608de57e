"""Runs put together: those that scored the same rows, and among them those that differ in their seed alone."""

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
    """None if it is not known, or of a baseline."""
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
    members: dict[tuple[Any, ...], list[Member]] = {}
    for run in runs:
        rows = _rows(run, run.predictions, by, notes)
        group = members.setdefault((*_key(rows, run), settings_of_metric(run.run, by)), [])
        rows = _like_the_others(rows, group, run, notes)
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
                f"'{run.run.directory}': {', '.join(unknown)} came from the environment, and the values are not "
                "recorded, so the run is a system of its own"
            )
            settings = {**settings, "run": str(run.run.directory)}
        group.append(Member(run, settings, seed, rows))
        lead = run.lead_name
        known = next((member for member in group if member.lead == lead), None)
        if run.lead is None or run.lead_value(by, language) is None or (known is not None and known.rows is not None):
            continue
        of_lead = _rows(run, run.lead, by, notes)
        if rows is not None and of_lead is not None and _key(of_lead, run) != _key(rows, run):
            notes.append(f"{lead} of '{run.run.directory}' was scored on other rows; it is shown but not tested")
            of_lead = None
        if known is not None:
            group.remove(known)
        group.append(Member(run, {}, None, _like_the_others(of_lead, group, run, notes), lead))
    return sorted(members.values(), key=lambda group: -sum(not member.lead for member in group))


def _rows(run: ScoredRun, predictions: str, by: str, notes: list[str]) -> RowValues | None:
    """Return the values of rows; None, with a note, if they cannot be read."""
    try:
        return read_rows(run.run, predictions, by)
    except UserError as error:
        notes.append(f"{error}; the recorded score is shown but not tested")
        return None


def _key(rows: RowValues | None, run: ScoredRun) -> tuple[Any, ...]:
    """Return what runs that scored the same rows have in common; the run itself if its rows are not known."""
    return ("", run.run.directory) if rows is None else (rows.fingerprint, *rows.ids, *rows.languages)


def _like_the_others(
    rows: RowValues | None, group: Sequence[Member], run: ScoredRun, notes: list[str]
) -> RowValues | None:
    """Return the values of rows; without them, and with a note, if the group has other counts for each row."""
    first = next((own.rows.values for own in group if own.rows is not None and own.rows.values is not None), None)
    if rows is None or rows.values is None or first is None or rows.values.shape == first.shape:
        return rows
    notes.append(
        f"'{run.run.directory}' has a different number of counts per row; the recorded score is shown but not tested"
    )
    return replace(rows, values=None)


def systems_of(members: Sequence[Member]) -> list[list[Member]]:
    """Put together the runs that differ in their seed alone; a repeated seed begins another system."""
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


def why_apart(members: Sequence[Member], first: Sequence[Member]) -> str:
    """Return why systems cannot be tested against those of the first group."""
    ours, theirs = (_rows_of_models(own) for own in (members, first))
    if ours is None or theirs is None:
        return "the scores of rows are missing"
    if ours.fingerprint == theirs.fingerprint and ours.ids == theirs.ids:
        return "the score was computed with other settings"
    own, other = set(ours.ids), set(theirs.ids)
    if own == other:
        return "the rows have the same ids, but other documents or references"
    return f"{len(own):,} rows were scored instead of {len(other):,} ({len(own & other):,} in common)"


def _rows_of_models(members: Sequence[Member]) -> RowValues | None:
    """Return the rows that a group's models scored; those of its baselines if it has no models."""
    models = [member for member in members if not member.lead] or members
    return next((member.rows for member in models if member.rows), None)
