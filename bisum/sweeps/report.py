"""Report of a sweep, from the run directories of its jobs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bisum.comparison.comparing import compared
from bisum.comparison.tables import report as tables
from bisum.config.checking import build
from bisum.config.options import CompareOptions
from bisum.display.console import Console
from bisum.display.scored_rows import chosen_scores
from bisum.display.terminal import relative_path
from bisum.errors import UserError, complain
from bisum.interfaces.defaults import defaults_of
from bisum.interfaces.score import ROUGE_PROFILES, rouge_name, split_score_name
from bisum.runs.record import readable_record
from bisum.runs.sweep import OVER
from bisum.sweeps.record import SweepRecord
from bisum.sweeps.trials import Trials

_MAX_VIEWS = 20
"""Maximum number of jobs whose trackers are listed."""


def report(directory: Path, jobs: Sequence[Path]) -> None:
    """Compare the finished jobs of a sweep, and print the command that repeats the comparison."""
    records = [readable_record(job) for job in jobs]
    finished = [record for record in records if record.get("status") == "finished"]
    if not finished:
        return
    console = Console()
    console.rule("sweep")
    folder = relative_path(directory)
    settings = _settings(finished)
    if finished[0]["job"] == "explore":
        console.print(f"explorations  {folder}/*/exploration.json, {folder}/*/plots", soft_wrap=True)
        return
    try:
        options = build(CompareOptions, {**defaults_of("compare"), **settings})
        comparison = compared([directory.absolute()], options, importance=False)
        console.print(*tables(comparison, pairs=False), sep="\n")
    except UserError as error:
        console.print(f"nothing to compare: {error}", soft_wrap=True)
    console.print(f"\nrun directories  {folder}", soft_wrap=True)
    arguments = [f"{key}={_argument(value)}" for key, value in settings.items()]
    console.print(
        f"this comparison  {shlex.join(['bisum', 'compare', _path_argument(folder), *arguments])}", soft_wrap=True
    )
    if finished[0]["job"] == "train":
        console.print(f"test scores      {shlex.join(['bisum', 'compare', _path_argument(folder)])}", soft_wrap=True)
    for jobs_of_view, view in _views(directory, jobs, records):
        console.print(f"{jobs_of_view:<15}  {view}", soft_wrap=True)


def report_work(record: SweepRecord, trials: Trials | None = None) -> int:
    """Compare the jobs of a sweep, report failures and how to resume the rest, and return the exit code."""
    report(record.directory, [record.path(number) for number in range(len(record.jobs))])
    failed = {number: entry for number, entry in enumerate(record.jobs) if entry["status"] == "failed"}
    pruned = sum(entry["status"] == "pruned" for entry in record.jobs)
    left = sum(entry["status"] not in ("failed", *OVER) for entry in record.jobs)
    for number, entry in failed.items():
        complain(f"job {number} failed: {entry['reason']} (log: {relative_path(record.path(number)) / 'train.log'})")
    total = len(record.jobs) if trials is None else trials.total
    left += total - len(record.jobs)
    if failed or left:
        finished = total - len(failed) - pruned - left
        counts = [
            f"{finished} finished",
            *([f"{pruned} pruned"] if pruned else ()),
            f"{len(failed)} failed",
            f"{left} left",
        ]
        complain(
            f"{total} job{'s' * (total != 1)}: {', '.join(counts)}; resume with: {resume_command(record.directory)}"
        )
    return 1 if failed or left else 0


def resume_command(directory: Path) -> str:
    """Return the command line that resumes the sweep in a directory."""
    return shlex.join(["bisum", f"resume={_path_argument(relative_path(directory))}"])


def _views(directory: Path, jobs: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield where the jobs are tracked, and how to upload offline ones, as labels and texts."""
    tracked = {job: record["tracker"] for job, record in zip(jobs, records, strict=True) if record.get("tracker")}
    patterns: dict[Path, str] = {}
    for job, tracker in tracked.items():
        upload = Path(str(tracker.get("upload"))).absolute()
        if upload.is_relative_to(job.absolute()):
            within = upload.relative_to(job.absolute()).parts
            patterns[job] = "/".join([*("*" for _ in job.relative_to(directory).parts), *within])
    if patterns:
        folder = shlex.quote(str(relative_path(directory)))
        paths = " ".join(f"{folder}/{pattern}" for pattern in sorted(set(patterns.values())))
        yield "upload", f"{len(patterns)} jobs are tracked offline: wandb sync {paths}"
    views = {
        str(view): job for job, tracker in tracked.items() if (view := tracker.get("view")) and job not in patterns
    }
    for number, (view, job) in enumerate(views.items()):
        if number == _MAX_VIEWS:
            yield "", f"and {len(views) - number} more"
            return
        yield "all jobs" if len(views) == 1 < len(tracked) else f"job {job.relative_to(directory)}", view


def _settings(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that compare the jobs.

    Training runs are compared by the score that selected their checkpoints, on validation: the test split is for the
    chosen model. Evaluations are compared by ROUGE-L on their split, next to the other scores.
    """
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


def _path_argument(folder: Path) -> str:
    """Return a folder as an argument that is not mistaken for a setting or an option."""
    text = str(folder)
    return f"./{text}" if "=" in text or text.startswith(("-", "~")) else text


def _argument(value: Any) -> str:
    return f"[{','.join(value)}]" if isinstance(value, list) else str(value)
