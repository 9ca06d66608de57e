"""`compare`: read runs, group them into systems, rank and test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bisum.comparison.finding import FoundRun, OtherRun, find_runs
from bisum.comparison.grouping import grouped
from bisum.comparison.importance import importance_of
from bisum.comparison.ranking import ranked
from bisum.comparison.recorded_scores import ScoredRun, scored, splits_of
from bisum.comparison.result import Comparison, Group
from bisum.comparison.settings import distinguishing_keys, hashable, settings_label, settings_of, with_short_paths
from bisum.config.checking import build, listing
from bisum.config.options import CompareOptions
from bisum.display.terminal import relative_path
from bisum.errors import UserError, nearest
from bisum.interfaces.defaults import defaults_of
from bisum.interfaces.score import ROUGE_SCORES, score_name, split_score_name


def compare(
    *runs: str | Path,
    by: str = "auto",
    split: str = "auto",
    language: str | None = None,
    metrics: Sequence[str] = (),
    samples: int | None = None,
) -> Comparison:
    """Compare runs by a score on a split: which is better, by how much, and whether the difference is real.

    Only run directories are read: nothing is composed or scored again, and torch is not imported.

    Args:
        runs: run directories, or folders, which include all runs below them.
        by: score to rank by and test, such as rougeL or chrf; auto: ROUGE-L in the profile that the runs show.
        split: train, validation or test; auto: test if a run has scored it, otherwise validation, then train.
        language: code of the language whose rows are compared; None: all rows.
        metrics: further scores to return, without tests.
        samples: number of resamples for each test; None: the default of `bisum compare`.

    Raises:
        UserError: a path contains no run, no run has the score, or an argument is invalid.
    """
    further = [metrics] if isinstance(metrics, str) else list(metrics)
    given = {"by": by, "split": split, "language": language, "metrics": further}
    options = {**defaults_of("compare"), **given, **({} if samples is None else {"samples": samples})}
    return compared(runs, build(CompareOptions, options))


def compared(paths: Sequence[str | Path], options: CompareOptions, *, importance: bool = True) -> Comparison:
    """Return the comparison of the runs at and below paths, with setting importance if `importance`; see `compare`."""
    if not paths:
        raise UserError("compare: give run directories, or folders that contain them, such as outputs")
    found, others = find_runs(paths)
    notes: list[str] = []
    explorations = sum(run.job == "explore" for run in found)
    found = [run for run in found if run.job != "explore"]
    if explorations:
        notes.append(f"{explorations} bisum explore {'run' if explorations == 1 else 'runs'} skipped")
    split = options.split if options.split != "auto" else _split(found)
    of_split = [scored(run, split) if _is_flat(run) else _nested(run) for run in found]
    others += [run for run in of_split if isinstance(run, OtherRun)]
    runs = [run for run in of_split if isinstance(run, ScoredRun)]
    if options.split != "auto" and not runs and (scored_splits := {of for run in found for of in splits_of(run)}):
        raise UserError(f"split: no run has {split} scores (valid: {', '.join(sorted(scored_splits))})")
    if found and split == "validation" and options.split == "auto":
        notes.append("no run has test scores; comparing on validation")
    by = _score(options.by, runs)
    described = _described(runs)
    language = _language(options.language, runs)
    if unknown := next((name for name in options.metrics if runs and name not in described), None):
        raise UserError(f"metrics: {_no_score(unknown, described)}")
    of = f" in {language}" if language else ""
    unscored = [run for run in runs if not _has(run, by, language)]
    if runs and len(unscored) == len(runs):
        raise UserError(f"by: no run has a {by} score{of} on {split}")
    others += [OtherRun(run.run.directory, "finished", f"has no {by} score{of} on {split}") for run in unscored]
    runs = [run for run in runs if _has(run, by, language)]
    notes += _score_notes(by, runs)
    members = grouped(runs, by, language, notes)
    groups: list[Group] = []
    for own in members:
        before = sum(len(group.systems) for group in groups)
        groups.append(ranked(own, by, language, options, members[0] if groups else None, before, notes))
    settings = [system.settings for group in groups for system in group.systems if not system.is_baseline]
    keys = distinguishing_keys(settings)
    groups = [_labelled(group, keys) for group in groups]
    if groups and importance:
        groups[0] = _with_importance(groups[0], described[by]["higher_is_better"], notes)
    return Comparison(
        split=split,
        by=by,
        language=language,
        score=described.get(by, {}),
        metrics={name: described[name] for name in options.metrics if name in described},
        keys=tuple(keys),
        groups=tuple(groups),
        others=tuple(others),
        notes=tuple(notes),
        samples=options.samples,
    )


def _is_flat(run: FoundRun) -> bool:
    """Return whether a configuration can be read; an edited one can be nested too deeply."""
    try:
        hashable(settings_of(run))
    except RecursionError:
        return False
    return True


def _nested(run: FoundRun) -> OtherRun:
    return OtherRun(run.directory, "unreadable", "its configuration is nested too deeply")


def _split(runs: Iterable[FoundRun]) -> str:
    """Return test if a run has scored it, otherwise validation, then train."""
    splits = {split for run in runs for split in splits_of(run)}
    return next((split for split in ("test", "validation", "train") if split in splits), "test")


def _score(by: str, runs: Sequence[ScoredRun]) -> str:
    """Return the name of the score to rank by.

    Raises:
        UserError: no run has it.
    """
    if by == "auto":
        profiles = {run.run.record.get("profile") for run in runs}
        by = "unicode/rougeL" if "unicode" in profiles else "rougeL"
    described = _described(runs)
    if by in described or not runs:
        return by
    without_split = re.sub("^(eval|test|baseline|best/eval)/", "", by)
    name, language = split_score_name(f"test/{without_split}")
    if name in described:
        rest = f" language={language}" if language else ""
        raise UserError(f"by: '{by}' includes a split or a language; use by={name}{rest}")
    raise UserError(f"by: {_no_score(by, described)}")


def _score_notes(by: str, runs: Sequence[ScoredRun]) -> list[str]:
    """Return notes on the score that the runs are ranked by."""
    lines = []
    if by in ROUGE_SCORES and not by.startswith("unicode/"):
        if any(run.run.record.get("profile") == "unicode" for run in runs):
            lines.append(f"{by} keeps only a-z and 0-9; by=unicode/{by} covers all letters of these runs' languages")
    else:
        directions = {(run.run.record.get("scores", {}).get(by) or {}).get("higher_is_better", ...) for run in runs}
        if len(directions - {...}) > 1:
            lines.append(f"the runs disagree on which direction of {by} is better")
    return lines


def _has(run: ScoredRun, by: str, language: str) -> bool:
    """Return whether a run has recorded a score and its description."""
    return run.value(by, language) is not None and by in run.run.record.get("scores", {})


def _no_score(name: str, described: Mapping[str, Any]) -> str:
    short = [known for known in described if not known.endswith(("_precision", "_recall"))]
    return f"no run has the score '{name}'{nearest(name, described)} (valid: {listing(short)})"


def _described(runs: Sequence[ScoredRun]) -> dict[str, Mapping[str, Any]]:
    """Return the descriptions of all recorded scores, by name."""
    described: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        described |= {name: score for name, score in run.run.record.get("scores", {}).items() if name not in described}
    return described | {name: ROUGE_SCORES[name].described() for name in described if name in ROUGE_SCORES}


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


def _labelled(group: Group, keys: Sequence[str]) -> Group:
    """Label the systems of a group, and keep only the settings that differ."""
    models = [system.settings for system in group.systems if not system.is_baseline]
    short = iter(with_short_paths(models))
    own = distinguishing_keys(models)
    shared = {key: models[0][key] for key in keys if key not in own and key in models[0]} if models else {}
    systems = []
    for system in group.systems:
        if not system.is_baseline:
            found = next(short)
            settings = {key: found[key] for key in (*keys, *own) if key in found}
            label = settings_label(settings, own) or str(relative_path(system.runs[0].run.directory))
            system = replace(system, settings=settings, label=label)
        systems.append(system)
    return replace(group, systems=tuple(systems), keys=tuple(own), shared=shared)


def _with_importance(group: Group, higher_is_better: bool | None, notes: list[str]) -> Group:
    """Return a group with the importance of its keys, computed from the models that have a value."""
    valued = {system.number: system.value for system in group.systems if not system.is_baseline}
    values = {number: value for number, value in valued.items() if value is not None}
    settings = [system.settings for system in group.systems if system.number in values]
    found = importance_of(settings, list(values.values()), group.keys, higher_is_better, notes)
    return replace(group, importance=found)
