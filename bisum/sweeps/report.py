"""The report of a sweep, read from the run directories of its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bisum.display.console import Console
from bisum.display.evaluation_tables import evaluations_report
from bisum.display.tables import new_table
from bisum.display.terminal import from_here
from bisum.errors import UserError
from bisum.interfaces.score import score_name
from bisum.runs.record import read_record


def announce(number: int, jobs: Sequence[Sequence[str]], overrides: Sequence[str]) -> None:
    """Announce a job by the words that distinguish it; `jobs` is empty if a sweeper chooses jobs as it goes."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    of = f" of {len(jobs)}" if jobs else ""
    own = " ".join(word for word in overrides if word not in shared)
    Console().rule(f"job {number}{of}: {own or 'defaults'}")


def report(jobs: Sequence[tuple[Path, Sequence[str]]]) -> int:
    """Show a line for each job and return the largest of their exit codes."""
    records = [_record(directory) for directory, _ in jobs]
    own = _own_words([overrides for _, overrides in jobs])
    console = Console()
    console.rule("sweep")
    if any("evaluation" in record for record in records):
        labels = (f"{number} {words}".rstrip() for number, words in enumerate(own))
        console.print(*evaluations_report(dict(zip(labels, records, strict=True))))
        for number, record in enumerate(records):
            if "evaluation" not in record:
                line = f"job {number} {record.get('status', 'lost')}: {record.get('reason') or 'no reason is known'}"
                console.print(line, soft_wrap=True)
    else:
        console.print(_results_table(own, records))
    if jobs:
        folder = from_here(jobs[0][0].parent)
        console.print(f"run directories  {folder}", soft_wrap=True)
        if len(jobs) > 1 and records[0].get("job") == "train":
            console.print(f"test scores      bisum evaluate {folder}/[0-9]*", soft_wrap=True)
        if view := (records[0].get("tracker") or {}).get("view"):
            console.print(f"job 0            {view}", soft_wrap=True)
    return max((record.get("exit_code") or int(record.get("status") != "finished") for record in records), default=0)


def _own_words(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return the words that distinguish each job; `run=` is cut to a name if names suffice."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    own = [[word for word in overrides if word not in shared] for overrides in jobs]

    def brief(word: str) -> str:
        key, _, path = word.partition("=")
        parts = [part for part in Path(path).parts if part != "checkpoints"]
        return f"run={'/'.join(parts[-2:] if 'checkpoints' in path else parts[-1:])}" if key == "run" else word

    named = [" ".join(map(brief, words)) for words in own]
    return named if len(set(named)) == len(own) else list(map(" ".join, own))


def _results_table(own: Sequence[str], records: Sequence[dict[str, Any]]) -> Table:
    table = new_table("job")
    table.add_column("overrides", overflow="fold")
    table.add_column("status")
    table.add_column("best", overflow="fold")
    for number, (words, record) in enumerate(zip(own, records, strict=True)):
        table.add_row(str(number), words, str(record.get("status", "lost")), _result(record))
    return table


def _result(record: dict[str, Any]) -> str:
    """Return the score that ranks a job, or the reason why it has none."""
    if record.get("status") != "finished":
        return str(record.get("reason") or "")
    scores = record.get("best") or record.get("baseline") or {}
    baseline = score_name("baseline", "rougeL", profile=record.get("profile", "rouge"))
    shown = record["best_metric"] if record.get("best_metric") in scores else baseline
    return f"{shown} {scores[shown]:.2f}" if shown in scores else ""


def _record(directory: Path) -> dict[str, Any]:
    """Return a job's record; an empty one if it left none."""
    try:
        return read_record(directory)
    except (UserError, OSError):
        return {}
