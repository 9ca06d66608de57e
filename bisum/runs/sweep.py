"""Reader of a sweep's record, `sweep.json`: its arguments, jobs and their statuses."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bisum.errors import UserError, either
from bisum.printing import as_json
from bisum.runs.entries import FLAG, LIST, OBJECT, TEXT, TEXTS, THREADS, WHOLE, Kind, or_null, read_object, wrong_entry

RECORD = "sweep.json"
"""Name of the record in a sweep's directory."""

OVER = ("finished", "pruned")
"""Statuses of runs and jobs that are complete and never run again."""
STATUSES = ("waiting", "running", "interrupted", "finished", "pruned", "failed")


def _list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(item, kind) for item in value)


_PATHS = Kind("a list of lists", _list_of(list), LIST)
_FOLDER = Kind(
    "a folder inside the sweep's directory",
    lambda value: (
        isinstance(value, str)
        and "\0" not in value
        and not Path(value).is_absolute()
        and os.path.normpath(value) == value
        and value != "."
        and not value.startswith("..")
    ),
    TEXT,
)
_STATUS = Kind(either(STATUSES), lambda value: value in STATUSES, TEXT)
_ENTRIES = {
    "command": TEXT,
    "arguments": TEXTS,
    "config_dir": or_null(TEXT),
    "threads": or_null(THREADS),
    "search": or_null(OBJECT),
    "search.id": TEXT,
    "search.study": TEXT,
    "search.described": OBJECT,
    "search.is_exhausted": FLAG,
    "slurm": LIST,
    "shared": OBJECT,
    "shared.config": OBJECT,
    "shared.from_environment": _PATHS,
    "shared.masked": _PATHS,
    "shared.choices": OBJECT,
    "shared.choices.*": or_null(TEXT),
    "jobs": LIST,
}
_JOB_ENTRIES = {
    "folder": _FOLDER,
    "arguments": TEXTS,
    "signature": TEXT,
    "status": _STATUS,
    "tries": WHOLE,
    "final": FLAG,
    "threads": or_null(THREADS),
    "fingerprint": or_null(TEXT),
    "trial": or_null(WHOLE),
    "values": or_null(OBJECT),
    "reason": or_null(TEXT),
    "process": or_null(OBJECT),
    "process.pid": WHOLE,
    "process.host": TEXT,
    "own": OBJECT,
    "own.config": OBJECT,
    "own.from_environment?": _PATHS,
    "own.masked?": _PATHS,
    "own.choices?": OBJECT,
    "own.choices.*": or_null(TEXT),
}


def is_sweep(directory: str | Path) -> bool:
    """Return whether a directory contains a sweep's record."""
    try:
        return (Path(directory).expanduser() / RECORD).is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def read_sweep(directory: Path) -> dict[str, Any]:
    """Return the contents of a sweep's record.

    Raises:
        FileNotFoundError: the directory has no record.
        UserError: the file cannot be read, or an entry is of the wrong kind.
    """
    path = directory / RECORD
    record = read_object(path, _ENTRIES)
    for number, job in enumerate(record["jobs"]):
        problem = wrong_entry(job, _JOB_ENTRIES) if isinstance(job, Mapping) else "must be an object"
        if problem:
            colon = "" if problem.startswith("must") else ":"
            raise UserError(f"'{path}': jobs[{number}]{colon} {problem}; restore the original value")
        if record["search"] is not None and (job["trial"] is None or job["values"] is None):
            raise UserError(
                f"'{path}': jobs[{number}]: trial and values must not be null in a search; restore the original value"
            )
    trials = [job["trial"] for job in record["jobs"] if job["trial"] is not None]
    if len(set(trials)) < len(trials):
        raise UserError(f"'{path}': jobs must have different trials; restore the original value")
    folders = [job["folder"] for job in record["jobs"]]
    nested = any(str(outer) in folders for folder in folders for outer in Path(folder).parents)
    if not (folders or record["search"]) or nested or len(set(folders)) < len(folders):
        raise UserError(
            f"'{path}': jobs must list at least one job, each with its own folder; restore the original value"
        )
    return record


def record_of_job(sweep: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration entries of a job's `run.json`, before that file exists."""
    shared, own = sweep["shared"], job["own"]
    kept = {name: own.get(name, shared[name]) for name in ("from_environment", "masked", "choices")}
    return {**kept, "job": sweep["command"], "config": {**shared["config"], **own["config"]}}


def own_part(record: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a job's record that differ from those shared by all jobs.

    Configurations are compared by top-level key; all jobs of a command have the same ones.
    """
    return {
        **{key: value for key, value in record.items() if key != "config" and value != shared[key]},
        "config": {
            key: value
            for key, value in record["config"].items()
            if as_json(value) != as_json(shared["config"].get(key))  # 1 and 1.0 are equal, but differ as text
        },
    }
