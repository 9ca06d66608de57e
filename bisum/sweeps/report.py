"""The report of a sweep, read from the run directories of its jobs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bisum.comparison.comparing import compared
from bisum.comparison.tables import report as tables
from bisum.config.checking import build
from bisum.config.options import CompareOptions
from bisum.display.console import Console
from bisum.display.scored_rows import chosen_scores
from bisum.display.terminal import from_here
from bisum.errors import UserError
from bisum.interfaces.defaults import defaults_of
from bisum.interfaces.score import ROUGE_PROFILES, rouge_name, split_score_name
from bisum.runs.record import read_record


def announce(number: int, jobs: Sequence[Sequence[str]], overrides: Sequence[str]) -> None:
    """Announce a job by the words that distinguish it; `jobs` is empty if a sweeper chooses jobs as it goes."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    of = f" of {len(jobs)}" if jobs else ""
    own = " ".join(word for word in overrides if word not in shared)
    Console().rule(f"job {number}{of}: {own or 'defaults'}")


def report(directory: Path, jobs: Sequence[Path]) -> int:
    """Compare the jobs of a sweep, name the command that repeats it, and return the largest of their exit codes."""
    records = [_record(job) for job in jobs]
    console = Console()
    console.rule("sweep")
    folder = from_here(directory)
    finished = [record for record in records if record.get("status") == "finished"]
    settings = _settings(finished)
    try:
        comparison = compared([directory.absolute()], build(CompareOptions, {**defaults_of("compare"), **settings}))
        console.print(*tables(comparison, pairs=False), sep="\n")
    except UserError as error:
        console.print(f"nothing to compare: {error}", soft_wrap=True)
    for number, record in enumerate(records):
        if not record:
            console.print(f"job {number} lost: it left no record", soft_wrap=True)
    console.print(f"\nrun directories  {folder}", soft_wrap=True)
    if finished and finished[0]["job"] != "explore":
        words = [f"{key}={_word(value)}" for key, value in settings.items()]
        console.print(
            f"this comparison  {shlex.join(['bisum', 'compare', _path_word(folder), *words])}", soft_wrap=True
        )
        if finished[0]["job"] == "train":
            console.print(f"test scores      {shlex.join(['bisum', 'compare', _path_word(folder)])}", soft_wrap=True)
    if records and (view := (records[0].get("tracker") or {}).get("view")):
        console.print(f"job 0            {view}", soft_wrap=True)
    return max((record.get("exit_code") or int(record.get("status") != "finished") for record in records), default=0)


def _settings(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how the jobs are compared.

    Trainings are compared by the score that selected their checkpoints, on validation: the test split is for the model
    that is chosen. Evaluations are compared by ROUGE-L on their split, with the other scores beside it.
    """
    if not records:
        return {}
    first = records[0]
    chosen = list(dict.fromkeys(name for record in records for name in chosen_scores(record)))
    if first["job"] == "train":
        by = {record.get("best_metric") for record in records}
        name, language = split_score_name(str(first["best_metric"])) if len(by) == 1 else ("auto", "")
        further = [other for other in chosen if other != name]
        return {
            "by": name,
            "split": "validation",
            **({"language": language} if language else {}),
            **({"metrics": further} if further else {}),
        }
    if first["job"] != "evaluate":
        split = (first.get("baseline") or {}).get("split")
        return {"split": split} if split else {}
    profile = "unicode" if any(record.get("profile") == "unicode" for record in records) else ROUGE_PROFILES[0]
    return {"metrics": [rouge_name(profile, "rouge1"), rouge_name(profile, "rouge2"), *chosen, "gen_len"]}


def _path_word(folder: Path) -> str:
    """Return a folder as a word that the command line takes for one."""
    text = str(folder)
    return f"./{text}" if "=" in text or text.startswith(("-", "~")) else text


def _word(value: Any) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else str(value)


def _record(directory: Path) -> dict[str, Any]:
    """Return a job's record; an empty one if it left none."""
    try:
        return read_record(directory)
    except (UserError, OSError):
        return {}
