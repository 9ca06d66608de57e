"""Initial contents of a sweep's record, and its differences from the sweep of a command line."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bisum.config.identity import changes_number
from bisum.config.jobs import Job, signature_of
from bisum.config.sweep import Sweep
from bisum.printing import as_json
from bisum.runs.sweep import own_part, record_of_job


def new_record(sweep: Sweep, config_dir: str | None, threads: int | None) -> dict[str, Any]:
    """Return the record of a sweep before its first job."""
    shared = configuration_of(sweep.example)
    search = None
    if sweep.search is not None:
        name = sweep.search.options.study or Path(sweep.directory).absolute().name
        search = {
            "id": secrets.token_hex(8),
            "study": name,
            "described": sweep.search.described(),
            "is_exhausted": False,
        }
    return {
        "command": sweep.example.config.provenance.command,
        "arguments": list(sweep.arguments),
        "config_dir": None if config_dir is None else str(Path(config_dir).resolve()),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "threads": threads,
        "search": search,
        "slurm": [],
        "jobs": [{**entry_of(job), "own": own_part(configuration_of(job), shared)} for job in sweep.jobs or ()],
        "shared": shared,
    }


def configuration_of(job: Job) -> dict[str, Any]:
    """Return a job's configuration as stored in the record of a sweep."""
    provenance = job.config.provenance
    return {
        "config": dict(provenance.recorded.config),
        "from_environment": provenance.recorded.from_environment,
        "masked": provenance.recorded.masked,
        "choices": dict(provenance.choices),
    }


def entry_of(job: Job) -> dict[str, Any]:
    """Return the entry of a job before it begins."""
    return {
        "folder": job.folder,
        "arguments": list(job.config.provenance.overrides),
        "signature": signature_of(job),
        "status": "waiting",
        "tries": 0,
        "final": False,
        "reason": None,
        "process": None,
        "threads": None,
        "fingerprint": None,
        "trial": None,
        "values": None,
    }


def difference(record: dict[str, Any], sweep: Sweep) -> str:
    """Return the difference between the jobs of a record and those of a command line; "" if there is none."""
    theirs, jobs = record["jobs"], sweep.jobs or []
    if not sweep.is_resumed and record["command"] != sweep.example.config.provenance.command:
        return f"of bisum {record['command']}"
    if (record["search"] is None) != (sweep.search is None):
        return "a search" if sweep.search is None else "of listed jobs, not a search"
    if sweep.search is not None and not sweep.is_resumed:
        before, now = record["search"]["described"], sweep.search.described()
        return "" if as_json(before) == as_json(now) else "a search with another space, settings or configuration"
    for number, (entry, job) in enumerate(zip(theirs, jobs, strict=False)):
        if entry["signature"] != signature_of(job):
            key = _different_key(record_of_job(record, entry)["config"], job.config.provenance.recorded.config)
            return f"job {number} differs in {key}" if key else f"job {number} differs"
    return "" if len(theirs) == len(jobs) or sweep.is_resumed else f"of {len(theirs)} jobs, not {len(jobs)}"


def _different_key(theirs: Any, ours: Any, key: str = "") -> str | None:
    """Return the dotted key of the first differing value that affects results; None if there is none."""
    if not (isinstance(theirs, Mapping) and isinstance(ours, Mapping)):
        return None if theirs == ours or not changes_number(key) else key
    names = dict.fromkeys([*ours, *theirs])
    found = (_different_key(theirs.get(name), ours.get(name), f"{key}.{name}".lstrip(".")) for name in names)
    return next(filter(None, found), None)
