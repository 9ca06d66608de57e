"""`compare`: read runs back, put together what is one system, rank, and test."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bisum.comparison.aggregates import score_of_rows, settings_of_metrics
from bisum.comparison.finding import FoundRun, OtherRun, find_runs
from bisum.comparison.result import BEST, DIFFERENT, SAME, UNTESTED, WORSE, Comparison, Group, Pair, System
from bisum.comparison.scored import RowValues, ScoredRun, read_rows, scored, splits_of
from bisum.comparison.settings import distinguishing_keys, hashable, settings_of, words_of
from bisum.comparison.statistics import ALPHA, Systems, holm
from bisum.config.checking import build, listing
from bisum.config.options import CompareOptions
from bisum.errors import UserError, nearest
from bisum.evaluation.bootstrap import FEWEST_ROWS
from bisum.interfaces.defaults import defaults_of
from bisum.interfaces.score import Score, score_name, split_score_name

BOOTSTRAP_SEED = 0
MOST_PAIRED = 20
"""Most systems of which all pairs are tested; of more, each is tested against the best."""


def compare(*runs: str | Path, **options: Any) -> Comparison:
    """Compare runs by a score on a split: which is better, by how much, and whether the difference is real.

    Nothing is composed or scored again, and torch is not imported: only run directories are read.

    Args:
        runs: run directories, or folders that stand for all runs below them.
        options: `by`, `split`, `language`, `metrics` and `samples`; see `bisum.config.options.CompareOptions`.

    Raises:
        UserError: a path holds no run, or no run has such a score.
    """
    return compared(runs, build(CompareOptions, {**defaults_of("compare"), **options}))


def compared(paths: Sequence[str | Path], options: CompareOptions) -> Comparison:
    """Return the comparison of the runs at and below paths; see `compare`."""
    if not paths:
        raise UserError("compare: name run directories, or folders that hold some, such as outputs")
    found, others = find_runs(paths)
    notes: list[str] = []
    explorations = sum(run.job == "explore" for run in found)
    found = [run for run in found if run.job != "explore"]
    if explorations:
        notes.append(f"{explorations} {'run' if explorations == 1 else 'runs'} of bisum explore left out")
    split = options.split if options.split != "auto" else _split(found)
    of_split = [scored(run, split) for run in found]
    others += [run for run in of_split if isinstance(run, OtherRun)]
    runs = [run for run in of_split if isinstance(run, ScoredRun)]
    if found and split == "validation" and options.split == "auto":
        notes.append("no run has scored the test split, so validation is compared")
    by = _score(options.by, runs)
    described = _described(runs)
    language = _language(options.language, runs)
    if unknown := next((name for name in options.metrics if name not in described), None):
        raise UserError(f"metrics: {_no_score(unknown, described)}")
    unscored = [run for run in runs if run.value(by, language) is None]
    of = f" in {language}" if language else ""
    others += [OtherRun(run.run.directory, "finished", f"has no score {by}{of} on {split}") for run in unscored]
    runs = [run for run in runs if run.value(by, language) is not None]
    groups = _groups(runs, by, language, options, notes) if runs else []
    settings = [system.settings for group in groups for system in group.systems if not system.is_baseline]
    keys = distinguishing_keys(settings)
    return Comparison(
        split=split,
        by=by,
        language=language,
        score=described.get(by, {}),
        metrics={name: described[name] for name in options.metrics},
        keys=tuple(keys),
        groups=tuple(_labelled(group, keys) for group in groups),
        others=tuple(others),
        notes=tuple(notes),
        samples=options.samples,
        row_score=_score_of([s for group in groups[:1] for s in group.systems if s.values is not None], by, []),
    )


def _split(runs: Iterable[FoundRun]) -> str:
    """Return test if a run has scored it, else validation, else train."""
    splits = {split for run in runs for split in splits_of(run)}
    return next((split for split in ("test", "validation", "train") if split in splits), "test")


def _score(by: str, runs: Sequence[ScoredRun]) -> str:
    """Return the name of the score that ranks.

    Raises:
        UserError: no run has it.
    """
    if by == "auto":
        profiles = {run.run.record.get("profile") for run in runs}
        return "unicode/rougeL" if "unicode" in profiles else "rougeL"
    described = _described(runs)
    if by in described or not runs:
        return by
    name, language = split_score_name(f"test/{by}")
    whole, of_whole = split_score_name(by)
    if name in described and language:
        raise UserError(f"by: '{by}' names a language; give by={name} language={language}")
    if whole in described:
        raise UserError(f"by: give the score's name alone, by={whole}{f' language={of_whole}' if of_whole else ''}")
    raise UserError(f"by: {_no_score(by, described)}")


def _no_score(name: str, described: Mapping[str, Any]) -> str:
    short = [known for known in described if not known.endswith(("_precision", "_recall"))]
    return f"no run has a score '{name}'{nearest(name, described)} (valid: {listing(short)})"


def _described(runs: Sequence[ScoredRun]) -> dict[str, Mapping[str, Any]]:
    """Return what each score that a run has recorded is, by name."""
    described: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        described |= {name: score for name, score in run.run.record.get("scores", {}).items() if name not in described}
    return described


def _language(language: str | None, runs: Sequence[ScoredRun]) -> str:
    """Return the language to compare; raises `UserError` if no run scored rows in it."""
    if language is None or not runs:
        return ""
    known = {of for run in runs for of in _languages(run)}
    if language not in known:
        raise UserError(f"language: no run has scored rows in '{language}' (valid: {listing(sorted(known))})")
    return language


def _languages(run: ScoredRun) -> list[str]:
    name = score_name(run.prefix, "rouge1")
    _, _, last = name.partition("/")
    ending = f"/{last}"
    found = [
        metric.removeprefix(f"{run.prefix}/").removesuffix(ending)
        for metric in run.metrics
        if metric.startswith(f"{run.prefix}/") and metric.endswith(ending) and metric != name
    ]
    return [language for language in found if language != "unicode" and not language.startswith("unicode/")]


@dataclass(frozen=True)
class _Member:
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


def _groups(
    runs: Sequence[ScoredRun], by: str, language: str, options: CompareOptions, notes: list[str]
) -> list[Group]:
    """Return the groups of systems scored over the same rows, the largest first."""
    members: dict[tuple[str, str], list[_Member]] = {}
    of_metrics = settings_of_metrics([run.run for run in runs], by)
    for run, of_metric in zip(runs, of_metrics, strict=True):
        rows = _rows(run, run.predictions, by, notes)
        group = members.setdefault((rows.fingerprint if rows else f"? {run.run.directory}", of_metric), [])
        if run.prefix == "baseline":
            lead = str(run.lead_metrics.get("system"))
            if all(member.lead != lead for member in group):
                group.append(_Member(run, {}, 0, rows, lead))
            continue
        seed = run.run.config.get("seed")
        group.append(_Member(run, settings_of(run.run), seed if type(seed) is int else 0, rows))
        lead = f"lead-{(run.lead or '').rpartition('lead')[2]}"
        if run.lead and all(member.lead != lead for member in group) and run.lead_value(by, language) is not None:
            group.append(_Member(run, {}, 0, _rows(run, run.lead, by, notes), lead))
    ordered = sorted(members.values(), key=lambda group: -sum(not member.lead for member in group))
    return [_group(group, by, language, options, ordered[0] if at else None, notes) for at, group in enumerate(ordered)]


def _rows(run: ScoredRun, predictions: str, by: str, notes: list[str]) -> RowValues | None:
    """Return the values of rows; None, with a note, if they cannot be read."""
    try:
        return read_rows(run.run, predictions, by)
    except UserError as error:
        notes.append(f"{error}; the recorded score is shown, and not tested")
        return None


def _group(
    members: Sequence[_Member],
    by: str,
    language: str,
    options: CompareOptions,
    first: Sequence[_Member] | None,
    notes: list[str],
) -> Group:
    """Return a group: its systems, ranked, and their tests."""
    known = next((member.rows for member in members if member.rows is not None), None)
    languages = known.languages if known is not None else np.array([], dtype=object)
    chosen = languages == language if language else np.ones(len(languages), bool)
    systems = [_system(own, by, language, options.metrics, chosen) for own in _systems(members)]
    records = [member.scored.run.record for member in members]
    higher = next((record["scores"][by]["higher_is_better"] for record in records if by in record["scores"]), None)
    systems.sort(key=lambda system: _rank(system.value, higher))
    systems = [replace(system, number=at) for at, system in enumerate(systems, start=1)]
    pairs: list[Pair] = []
    tested = [system for system in systems if system.values is not None and system.rows >= FEWEST_ROWS]
    score = _score_of(tested, by, notes)
    if score is not None:
        scale = score.scale
        resampled = Systems(
            [system.values for system in tested if system.values is not None], score, options.samples, BOOTSTRAP_SEED
        )
        pairs = _pairs(tested, resampled, scale)
        for at, system in enumerate(tested):
            systems[system.number - 1] = _with_interval(system, at, resampled, scale)
    return Group(
        systems=tuple(_with_verdict(system, systems, pairs, higher) for system in systems),
        pairs=tuple(pairs),
        ids=known.ids.filter(chosen) if known is not None else None,
        row_languages=languages[chosen],
        languages={str(of): int((languages[chosen] == of).sum()) for of in dict.fromkeys(languages[chosen])},
        why=_why(members, first) if first else "",
    )


def _score_of(systems: Sequence[System], by: str, notes: list[str]) -> Score | None:
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


def _systems(members: Sequence[_Member]) -> list[list[_Member]]:
    """Put together the runs that differ in their seed alone; a repeated seed begins another system."""
    systems: dict[tuple[Any, ...], list[_Member]] = {}
    times: dict[tuple[Any, ...], int] = {}
    for member in sorted(members, key=lambda member: str(member.scored.run.record.get("started", ""))):
        again = times.get((member.key, member.seed), 0)
        times[member.key, member.seed] = again + 1
        systems.setdefault((member.key, again), []).append(member)
    for (key, _), own in systems.items():
        if sum(other == key for other, _ in systems) > 1:
            directory = str(own[0].scored.run.directory)
            systems[key, _] = [replace(member, settings={**member.settings, "run": directory}) for member in own]
    return [sorted(own, key=lambda member: member.seed) for own in systems.values()]


def _system(
    members: Sequence[_Member], by: str, language: str, metrics: Sequence[str], chosen: np.ndarray[Any, Any]
) -> System:
    """Return a system without its number, interval and verdict."""
    lead = members[0].lead
    runs = [member.scored for member in members]

    def values_of(name: str) -> list[float | None]:
        return [run.lead_value(name, language) if lead else run.value(name, language) for run in runs]

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
    adjusted = holm([test.p for test in tests])
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
        if test.rows
    ]


def _with_interval(system: System, at: int, resampled: Systems, scale: float) -> System:
    """Return a system with the interval that its runs would record."""
    config = system.runs[0].run.config
    samples = (config.get("evaluation") or {}).get("bootstrap_samples")
    low, high = resampled.interval(at, samples if type(samples) is int and samples > 0 else None)
    return replace(system, low=scale * low, high=scale * high)


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


def _why(members: Sequence[_Member], first: Sequence[_Member]) -> str:
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


def _labelled(group: Group, keys: Sequence[str]) -> Group:
    """Return a group whose systems have labels, and only the settings that differ."""
    systems = []
    for system in group.systems:
        if not system.is_baseline:
            own = {key: system.settings[key] for key in keys if key in system.settings}
            system = replace(system, settings=own, label=words_of(own, keys) or str(system.runs[0].run.directory))
        systems.append(system)
    return replace(group, systems=tuple(systems))
