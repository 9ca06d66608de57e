"""`bisum -m`: what a sweep says between its jobs and at its end, read from their run directories."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from bisum.records.report import new_table
from bisum.records.screen import from_here


def announce(number: int, jobs: Sequence[Sequence[str]], overrides: Sequence[str]) -> None:
    """Say which job begins, by what the others have not; `jobs` are empty where a sweeper chooses them as it goes."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    of = f" of {len(jobs)}" if jobs else ""
    own = " ".join(word for word in overrides if word not in shared)
    Console(highlight=False).rule(escape(f"job {number}{of}: {own or 'defaults'}"))


def release_memory() -> None:
    """Give back what a job held, since the basic launcher runs all jobs in one process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def report(jobs: Sequence[tuple[Path, Sequence[str]]]) -> int:
    """Show a line for each job and return the largest of their exit codes."""
    table = new_table("job")
    table.add_column("overrides", overflow="fold")
    table.add_column("status")
    table.add_column("best", overflow="fold")
    shared = set.intersection(*(set(overrides) for _, overrides in jobs)) if len(jobs) > 1 else set()
    codes = []
    for number, (directory, overrides) in enumerate(jobs):
        record = _record(directory)
        codes.append(int(record.get("exit_code") or (0 if record.get("status") == "finished" else 1)))
        table.add_row(
            str(number),
            escape(" ".join(word for word in overrides if word not in shared)),
            str(record.get("status", "lost")),
            escape(_result(record)),
        )
    console = Console(highlight=False)
    console.rule("sweep")
    console.print(table)
    if jobs:
        console.print(f"run directories  {from_here(jobs[0][0].parent)}", markup=False, soft_wrap=True)
        if view := (_record(jobs[0][0]).get("tracker") or {}).get("view"):
            console.print(f"job 0            {view}", markup=False, soft_wrap=True)
    return max(codes, default=0)


def _result(record: dict[str, Any]) -> str:
    """Return the score that a job is judged by, or the reason why it has none."""
    if record.get("status") != "finished":
        return str(record.get("reason") or "")
    name = record["config"]["trainer"]["best_metric"]
    scores = record.get("best") or record.get("baseline") or {}
    shown = name if name in scores else "baseline/rougeL"
    return f"{shown} {scores[shown]:.2f}" if shown in scores else ""


def _record(directory: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record
