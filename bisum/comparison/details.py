"""Content of the report beyond the tables: curves, scores by language, and rows side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bisum.comparison.breakdown import Where, row_scores, rows_of, texts_of
from bisum.comparison.excluded import pruned_line
from bisum.comparison.importance_tables import importance_explanations
from bisum.comparison.result import Comparison, Group, System
from bisum.comparison.significance import ResampledSystems
from bisum.comparison.tables import explanations
from bisum.errors import UserError
from bisum.evaluation.bootstrap import BOOTSTRAP_SEED, MIN_ROWS
from bisum.interfaces.score import score_name
from bisum.runs.entries import is_number
from bisum.runs.metrics import read_metrics
from bisum.version import __version__

MOST_ROWS = 1000
"""Maximum number of rows in the report; those on which systems differ most are kept."""
MOST_SYSTEMS = 30
"""Maximum number of systems whose summaries are in the report: the best ones; baselines are always included."""
_SAMPLES = 1000


def report_data(comparison: Comparison, found: Where | None, title: str, command: str) -> dict[str, Any]:
    """Return the content of a comparison's report as plain data; see `bisum.comparison.report`."""
    notes = list(comparison.notes)
    groups = [{**group.to_dict(), **_details(comparison, group, notes), "where": None} for group in comparison.groups]
    for group, of in zip(comparison.groups, groups, strict=True):
        if found is not None and found.first in group.systems:
            of["where"] = found.to_dict()
    pruned = pruned_line(comparison)
    return {
        **comparison.to_dict(),
        "title": title,
        "made": datetime.now().astimezone().isoformat(timespec="minutes"),
        "command": command,
        "version": __version__,
        "groups": groups,
        "notes": [pruned, *notes] if pruned else notes,
    }


def _details(comparison: Comparison, group: Group, notes: list[str]) -> dict[str, Any]:
    """Return the details of a group; unreadable files are reported in `notes`."""
    by_language = _languages(group)
    systems = [
        {
            **system.to_dict(),
            "minus_best": None if (pair := group.minus_best(system)) is None else asdict(pair),
            "languages": by_language.get(system.number, {}),
            "curves": list(_curves(comparison, system, notes)),
        }
        for system in group.systems
    ]
    texts, note = _texts(group, notes)
    return {
        "systems": systems,
        "explanations": list(explanations(comparison, group, marks=False)),
        "importance_explanations": list(importance_explanations(group.importance)) if group.importance else [],
        "curve_baseline": _curve_baseline(comparison, group),
        "texts": texts,
        "texts_note": note,
    }


def _curves(comparison: Comparison, system: System, notes: list[str]) -> Iterator[dict[str, Any]]:
    """Yield each run's validation scores by epoch."""
    name = score_name("eval", comparison.by, language=comparison.language)
    for run, seed in zip(system.runs, system.seeds, strict=False):
        try:
            lines = read_metrics(run.run.directory)
        except UserError as error:
            notes.append(f"curve not shown: {error}")
            continue
        points = [[line["epoch"], line[name]] for line in lines if line.get(name) is not None and "epoch" in line]
        if run.run.job == "train" and points:
            yield {"run": str(run.run.directory), "seed": seed, "points": points}


def _curve_baseline(comparison: Comparison, group: Group) -> float | None:
    """Return the validation score of lead-k, if a training run recorded it."""
    name = score_name("baseline", comparison.by, language=comparison.language)
    for system in group.systems:
        baseline = system.runs[0].run.record.get("baseline") or {}
        if baseline.get("split") == "validation" and is_number(baseline.get(name)):
            return float(baseline[name])
    return None


def _languages(group: Group) -> dict[int, dict[str, Any]]:
    """Return scores and intervals by system number and language; empty unless there are several languages."""
    systems = [system for system in group.systems if system.values is not None]
    if len(group.languages) < 2 or not systems or group.score is None:
        return {}
    found: dict[int, dict[str, Any]] = {system.number: {} for system in systems}
    scale = group.score.scale
    for language in group.languages:
        rows = np.array(group.row_languages == language, dtype=bool)
        values = [_row_values(system)[:, rows] for system in systems]
        resampled = ResampledSystems(values, group.score, _SAMPLES, BOOTSTRAP_SEED)
        for at, system in enumerate(systems):
            value = scale * resampled.value(at)
            has_interval = int(rows.sum()) >= MIN_ROWS and np.isfinite(value)
            low, high = (scale * end for end in resampled.interval(at)) if has_interval else (None, None)
            found[system.number][language] = {
                "value": value if np.isfinite(value) else None,
                "low": low,
                "high": high,
                "rows": int(rows.sum()),
            }
    return found


def _texts(group: Group, notes: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Return rows with the systems' summaries, and a note on omitted ones."""
    tested = [system for system in group.systems if system.values is not None and group.score is not None]
    systems = [system for at, system in enumerate(tested) if at < MOST_SYSTEMS or system.is_baseline]
    readable = []
    for system in systems:
        try:
            readable.append((system, texts_of(group, system)))
        except UserError as error:
            notes.append(f"summaries not shown: {error}")
    if not readable:
        return [], ""
    scores = np.stack([row_scores(system, group) for system, _ in readable])
    places, note = _places(scores, len(tested) - len(systems))
    return [asdict(row) for row in rows_of(group, readable, places)], note


def _places(scores: NDArray[np.float64], omitted: int) -> tuple[Sequence[int], str]:
    """Return the indices of the rows to show, and a note on omissions; `scores` has shape (systems, rows)."""
    rows = scores.shape[1]
    note = f"{omitted:,} systems below rank {MOST_SYSTEMS} are omitted here." if omitted else ""
    if rows <= MOST_ROWS:
        return range(rows), note
    filled = np.nan_to_num(scores)
    spread = filled.max(axis=0) - filled.min(axis=0)
    places = np.sort(np.argsort(-spread, kind="stable")[:MOST_ROWS])
    return (
        places.tolist(),
        f"The {MOST_ROWS:,} of {rows:,} rows with the largest differences between systems. {note}".rstrip(),
    )


def _row_values(system: System) -> NDArray[np.float64]:
    assert system.values is not None
    return system.values
