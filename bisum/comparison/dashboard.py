"""The W&B workspace of a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bisum.comparison.recorded_scores import ScoredRun
from bisum.comparison.result import Comparison
from bisum.comparison.workspace import Saved, save_workspace, workspace
from bisum.errors import UserError
from bisum.interfaces.score import ROUGE_SCORES, ROUGE_TYPES, rouge_name


def save_dashboard(comparison: Comparison, title: str, path: Path) -> Saved:
    """Save a W&B workspace of the compared runs; see `bisum.comparison.workspace`.

    Raises:
        UserError: no compared run was tracked with W&B, the runs span several projects, or wandb-workspaces is missing.
    """
    runs = [run for run in _runs(comparison) if str(_tracker(run).get("_target_")).endswith("WandbTracker")]
    projects = {(_text(_tracker(run).get("entity")), str(_tracker(run).get("project"))) for run in runs}
    if not projects:
        raise UserError("format=wandb: no compared run was tracked with W&B (tracker=wandb)")
    if len(projects) > 1:
        named = ", ".join(sorted(project for _, project in projects))
        raise UserError(f"format=wandb: a workspace covers one project, but these runs span several: {named}")
    ((entity, project),) = projects
    records = [run.run.record for run in runs]
    profile = "unicode" if comparison.by.startswith("unicode/") else "rouge"
    further = [name for name in (comparison.by, *comparison.metrics) if name not in ROUGE_SCORES]
    trained = [record for record in records if record.get("best_metric")]
    specification = workspace(
        entity=entity,
        project=project,
        name=title,
        groups=sorted({str(group) for record in records if (group := (record.get("tracker") or {}).get("group"))}),
        swept=[_in_tracker(key, records) for key in comparison.keys if key not in ("job", "run")],
        languages=[language for language in comparison.groups[0].languages if language],
        scores=[*(rouge_name(profile, rouge_type) for rouge_type in ROUGE_TYPES), *dict.fromkeys(further)],
        best_metric=str(trained[0]["best_metric"]) if trained else f"eval/{comparison.by}",
        baseline=next((system.label for system in comparison.systems if system.is_baseline), "the baseline"),
    )
    return save_workspace(specification, path, str(_tracker(runs[0]).get("mode", "auto")))


def _in_tracker(key: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return a setting's name in a tracked configuration, which stores the options of groups under `choices`."""
    is_group = any(key in (record.get("choices") or {}) for record in records)
    return f"choices.{key}" if is_group else key


def _runs(comparison: Comparison) -> Iterator[ScoredRun]:
    for group in comparison.groups:
        for system in group.systems:
            yield from system.runs


def _tracker(run: ScoredRun) -> Mapping[str, Any]:
    tracker = run.run.config.get("tracker")
    return tracker if isinstance(tracker, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
