"""A sweep's record, `sweep.json`, read and changed by all processes that share its jobs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from bisum.config.identity import signature
from bisum.config.jobs import Job
from bisum.config.sweep import Sweep
from bisum.errors import UserError
from bisum.printing import as_json
from bisum.runs.files import replace_file, version_of
from bisum.runs.lock import CLAIM, claim_job, is_locked, share, waiting_lock
from bisum.runs.record import read_record
from bisum.runs.safe_paths import refuse_links
from bisum.runs.sweep import OVER, RECORD, own_part, read_sweep
from bisum.sweeps.execution import prepare
from bisum.sweeps.outcome import Outcome
from bisum.sweeps.record_contents import configuration_of, difference, entry_of, new_record

_STATE = ".state"
"""Lock of the record, held while it is read and replaced."""


class SweepRecord:
    """The record of a sweep that this process works on; close it at the end.

    A job's run directory is authoritative; the record contains its state as last seen by any process.
    """

    def __init__(
        self, sweep: Sweep, config_dir: str | None, threads: int | None, *, retries_failed: bool = True
    ) -> None:
        """Open the record of a sweep, or write a new one.

        Args:
            sweep: the sweep; its directory exists.
            config_dir: the folder of `--config-dir`.
            threads: threads of each job of a new sweep; None: torch chooses.
            retries_failed: whether failed jobs run again, unless other processes work on the sweep.

        Raises:
            UserError: the directory contains another sweep, or a job's folder another run.
        """
        self.directory = Path(sweep.directory)
        self._path = self.directory / RECORD
        self._hydra_folder = sweep.composed.hydra.output_subdir
        self._seen: tuple[int, ...] = ()
        self._retries_failed, self._is_locked = retries_failed, False
        refusal = f"hydra.sweep.dir: '{self.directory}' is in use: another process has locked it"
        with waiting_lock(self.directory / _STATE):
            self._lock, self.is_alone = share(self.directory, refusal)
            try:
                self.is_new = not self._path.exists()
                self._record = new_record(sweep, config_dir, threads) if self.is_new else self._matched(sweep)
                self._extend(sweep)
                for number in range(len(self._record["jobs"])):
                    self._reconcile(number)
                self._write()
            except BaseException:
                self._lock.close()
                raise

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The latest entries of the jobs, from any process."""
        seen = self._seen if self._is_locked else version_of(self._path)
        if seen != self._seen or not seen:
            try:
                self._record, self._seen = read_sweep(self.directory), seen
            except FileNotFoundError as error:
                raise UserError(f"'{self._path}' is missing; the sweep cannot continue without it") from error
        entries: list[dict[str, Any]] = self._record["jobs"]
        return entries

    @property
    def contents(self) -> dict[str, Any]:
        """The latest record, from any process."""
        _ = self.jobs
        return self._record

    @property
    def threads(self) -> int | None:
        """Threads of each job; None: torch chooses."""
        threads: int | None = self._record["threads"]
        return threads

    @contextmanager
    def locked(self) -> Iterator[dict[str, Any]]:
        """Yield the latest record, and write it at the end; other processes wait for that.

        A nested block of the same object joins the outer one.
        """
        if self._is_locked:
            yield self._record
            return
        with waiting_lock(self.directory / _STATE):
            self._latest()
            self._is_locked = True
            try:
                yield self._record
                self._write()
            finally:
                self._is_locked = False

    def add(self, job: Job, trial: int, values: Mapping[str, Any]) -> int:
        """Add the job of a trial, and return its number."""
        with self.locked() as record:
            part = own_part(configuration_of(job), record["shared"])
            record["jobs"].append({**entry_of(job), "trial": trial, "values": dict(values), "own": part})
            return len(record["jobs"]) - 1

    def path(self, number: int) -> Path:
        """Return the run directory of a job."""
        return self.directory / str(self._record["jobs"][number]["folder"])

    def claim(self, number: int, retries: int) -> TextIO | None:
        """Claim an open job, and return its lock; None if another process has it, or if it is done.

        Raises:
            UserError: its folder cannot be used.
        """
        with self.locked() as record:
            entry = record["jobs"][number]
            if not is_open(entry, retries):
                return None
            folder = self._prepared(number)
            if is_locked(folder) or (claim := claim_job(folder)) is None:  # it can be running outside the sweep
                return None
            process = {"pid": os.getpid(), "host": socket.gethostname()}
            entry.update(status="running", process=process, reason=None)
            return claim

    def _prepared(self, number: int) -> Path:
        """Return the folder of a job; the first run of the job refuses a folder whose files it would overwrite."""
        folder = self.path(number)
        if link := self._link(number):
            raise UserError(f"hydra.sweep.subdir: '{link}' is a link; replace it with a folder")
        if (folder / CLAIM).exists():
            refuse_links(folder, "hydra.sweep.subdir")
        else:
            prepare(folder, "hydra.sweep.subdir", self._hydra_folder)
        return folder

    def settle(self, number: int, outcome: Outcome, run: Mapping[str, Any]) -> dict[str, Any]:
        """Record the outcome of a try of a job, and return its entry; `run` is its `run.json`."""
        with self.locked() as record:
            entry: dict[str, Any] = record["jobs"][number]
            has_failed = outcome.status == "failed"
            entry.update(
                status=outcome.status,
                reason=outcome.reason if has_failed else None,
                process=None,
                tries=entry["tries"] + has_failed,
                final=outcome.is_final,
            )
            if outcome.status in OVER:
                entry.update(_shared_entries(run))
            return dict(entry)

    def is_elsewhere(self, number: int) -> bool:
        """Return whether another process is running a job."""
        folder = self.path(number)
        return is_locked(folder, CLAIM) or is_locked(folder)

    def discard(self) -> None:
        """Remove the record of a new sweep that cannot begin, and its directory if it is otherwise empty."""
        for name in (RECORD, "multirun.yaml", "optuna.journal", ".optuna.journal.lock", _STATE, ".submission", ".lock"):
            (self.directory / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.directory.rmdir()

    def close(self) -> None:
        """Release the directory."""
        self._lock.close()

    def _link(self, number: int) -> Path | None:
        """Return the first link between the sweep's directory and a job's, if any."""
        folder = self.path(number)
        within = [folder, *folder.parents][: len(folder.relative_to(self.directory).parts)]
        with suppress(OSError):  # a name that is too long
            return next((path for path in within if path.is_symlink()), None)
        return None

    def _latest(self) -> list[dict[str, Any]]:
        """Reread the entries under the lock: a network file system can report changes late."""
        self._seen = ()
        return self.jobs

    def _write(self) -> None:
        replace_file(self._path, [as_json(self._record, indent=1)])
        self._seen = version_of(self._path)

    def _matched(self, sweep: Sweep) -> dict[str, Any]:
        """Return the record in the directory; raises `UserError` unless it lists the same jobs."""
        record = read_sweep(self.directory)
        if problem := difference(record, sweep):
            if sweep.is_resumed:
                raise UserError(f"'{self._path}': its jobs and their signatures do not match ({problem})")
            raise UserError(
                f"hydra.sweep.dir: '{self.directory}' contains another sweep ({problem}); choose another "
                f"directory, or continue that sweep with resume={self.directory}"
            )
        return record

    def _extend(self, sweep: Sweep) -> None:
        """Record a new number of trials, so that it applies when the search is resumed again."""
        key = "search.trials="
        if given := [argument for argument in (sweep.given or sweep.arguments) if argument.startswith(key)]:
            self._record["arguments"] = [
                *(argument for argument in self._record["arguments"] if not argument.startswith(key)),
                given[-1],
            ]

    def _reconcile(self, number: int) -> None:
        """Update an entry from its run directory, and reset failed jobs if no other process works on the sweep."""
        entry = self._record["jobs"][number]
        folder = self.path(number)
        is_abandoned = entry["status"] == "running" and not self.is_elsewhere(number)
        if self._link(number) or not version_of(folder / "run.json"):
            if is_abandoned or entry["status"] in (*OVER, "interrupted"):
                entry.update(status="waiting", reason=None, process=None)
        else:
            run = read_record(folder)
            if signature(run["job"], run["config"]) != entry["signature"]:
                raise UserError(
                    f"'{folder}': contains a different run from job {number} of the sweep "
                    f"({' '.join(entry['arguments'])}); move it elsewhere"
                )
            if run.get("status") in OVER:
                entry.update(status=run["status"], reason=None, process=None)
                entry.update(_shared_entries(run))
            elif is_abandoned or entry["status"] in OVER:
                entry.update(status="interrupted", reason=None, process=None)
        if self.is_alone and self._retries_failed:
            if entry["status"] == "failed":
                entry.update(status="waiting", reason=None)
            entry.update(tries=0, final=False)


def is_open(entry: dict[str, Any], retries: int) -> bool:
    """Return whether a job still has to run, unless a process is already running it."""
    if entry["status"] == "failed":
        return not entry["final"] and entry["tries"] <= retries
    return entry["status"] not in OVER


def _shared_entries(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a finished run's record that later jobs need."""
    return {"threads": run.get("threads"), "fingerprint": (run.get("data") or {}).get("fingerprint")}
