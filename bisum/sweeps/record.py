"""A sweep's record, `sweep.json`, which several processes may read and change while they share its jobs."""

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
from bisum.sweeps.record_contents import begun, configuration_of, difference, entry_of

_STATE = ".state"
"""Lock of the record, held while it is read and replaced."""


class SweepRecord:
    """The record of a sweep in whose directory this process works; close it at the end.

    The truth about a job is its run directory; the record says what each process has seen of it.
    """

    def __init__(self, sweep: Sweep, config_dir: str | None, threads: int | None, *, begins_anew: bool = True) -> None:
        """Open the record of a sweep, or write a new one.

        Args:
            sweep: the sweep, whose directory exists.
            config_dir: the folder of `--config-dir`.
            threads: threads of each job of a new sweep; None: as many as torch chooses.
            begins_anew: whether jobs that have failed run again, unless other processes work on the sweep.

        Raises:
            UserError: the directory holds another sweep, or a job's folder another run.
        """
        self.directory = Path(sweep.directory)
        self._path = self.directory / RECORD
        self._hydra_folder = sweep.composed.hydra.output_subdir
        self._seen: tuple[int, ...] = ()
        self._begins_anew, self._is_locked = begins_anew, False
        refusal = f"hydra.sweep.dir: '{self.directory}' is in use: another process has locked it"
        with waiting_lock(self.directory / _STATE):
            self._lock, self.is_alone = share(self.directory, refusal)
            try:
                self.is_new = not self._path.exists()
                self._record = begun(sweep, config_dir, threads) if self.is_new else self._matched(sweep)
                self._extend(sweep)
                for number in range(len(self._record["jobs"])):
                    self._reconcile(number)
                self._write()
            except BaseException:
                self._lock.close()
                raise

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The entries of the jobs, as any process wrote them last."""
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
        """All of the record, as any process wrote it last."""
        _ = self.jobs
        return self._record

    @property
    def threads(self) -> int | None:
        """Threads of each job; None: as many as torch chooses."""
        threads: int | None = self._record["threads"]
        return threads

    @contextmanager
    def locked(self) -> Iterator[dict[str, Any]]:
        """Yield the record, as any process wrote it last, and write it at the end; others wait for that.

        A block within another one of this object is part of it.
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
        """Take a job that is to run, and return its lock; None if another process has it, or if it is done.

        Raises:
            UserError: its folder cannot be used.
        """
        with self.locked() as record:
            entry = record["jobs"][number]
            if not is_open(entry, retries):
                return None
            folder = self._prepared(number)
            if is_locked(folder) or (claim := claim_job(folder)) is None:  # someone may run it without the sweep
                return None
            process = {"pid": os.getpid(), "host": socket.gethostname()}
            entry.update(status="running", process=process, reason=None)
            return claim

    def _prepared(self, number: int) -> Path:
        """Return the folder of a job; nothing in it is overwritten when the job runs for the first time."""
        folder = self.path(number)
        if link := self._link(number):
            raise UserError(f"hydra.sweep.subdir: '{link}' is a link; replace it with a folder")
        if (folder / CLAIM).exists():
            refuse_links(folder, "hydra.sweep.subdir")
        else:
            prepare(folder, "hydra.sweep.subdir", self._hydra_folder)
        return folder

    def settle(self, number: int, outcome: Outcome, run: Mapping[str, Any]) -> dict[str, Any]:
        """Record how a try of a job has ended, and return its entry; `run` is its `run.json`."""
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
                entry.update(_of_finished(run))
            return dict(entry)

    def is_elsewhere(self, number: int) -> bool:
        """Return whether another process runs a job."""
        folder = self.path(number)
        return is_locked(folder, CLAIM) or is_locked(folder)

    def discard(self) -> None:
        """Remove the record of a new sweep that cannot begin, and its directory if nothing else is in it."""
        for name in (RECORD, "multirun.yaml", "optuna.journal", ".optuna.journal.lock", _STATE, ".submission", ".lock"):
            (self.directory / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.directory.rmdir()

    def close(self) -> None:
        """Leave the directory to others."""
        self._lock.close()

    def _link(self, number: int) -> Path | None:
        """Return the link on the way from the sweep's directory to a job's, if there is one."""
        folder = self.path(number)
        within = [folder, *folder.parents][: len(folder.relative_to(self.directory).parts)]
        with suppress(OSError):  # of a name that is too long
            return next((path for path in within if path.is_symlink()), None)
        return None

    def _latest(self) -> list[dict[str, Any]]:
        """Return the entries read anew, under the lock: a network file system may say too late that they changed."""
        self._seen = ()
        return self.jobs

    def _write(self) -> None:
        replace_file(self._path, [as_json(self._record, indent=1)])
        self._seen = version_of(self._path)

    def _matched(self, sweep: Sweep) -> dict[str, Any]:
        """Return the record in the directory, if it is of the same jobs; they run in its folders."""
        record = read_sweep(self.directory)
        if how := difference(record, sweep):
            if sweep.is_resumed:
                raise UserError(f"'{self._path}': its jobs and their signatures do not match ({how})")
            raise UserError(
                f"hydra.sweep.dir: '{self.directory}' holds another sweep ({how}); name another "
                f"directory, or continue that sweep with resume={self.directory}"
            )
        return record

    def _extend(self, sweep: Sweep) -> None:
        """Keep the number of trials that a search is continued with, for those who continue it next."""
        key = "search.trials="
        if given := [argument for argument in (sweep.given or sweep.arguments) if argument.startswith(key)]:
            self._record["arguments"] = [
                *(argument for argument in self._record["arguments"] if not argument.startswith(key)),
                given[-1],
            ]

    def _reconcile(self, number: int) -> None:
        """Bring an entry up to date with its run directory, and let what failed run again if nobody else works."""
        entry = self._record["jobs"][number]
        folder = self.path(number)
        is_left = entry["status"] == "running" and not self.is_elsewhere(number)
        if self._link(number) or not version_of(folder / "run.json"):
            if is_left or entry["status"] in (*OVER, "interrupted"):
                entry.update(status="waiting", reason=None, process=None)
        else:
            run = read_record(folder)
            if signature(run["job"], run["config"]) != entry["signature"]:
                raise UserError(
                    f"'{folder}': holds a different run from job {number} of the sweep "
                    f"({' '.join(entry['arguments'])}); move it away"
                )
            if run.get("status") in OVER:
                entry.update(status=run["status"], reason=None, process=None)
                entry.update(_of_finished(run))
            elif is_left or entry["status"] in OVER:
                entry.update(status="interrupted", reason=None, process=None)
        if self.is_alone and self._begins_anew:
            if entry["status"] == "failed":
                entry.update(status="waiting", reason=None)
            entry.update(tries=0, final=False)


def is_open(entry: dict[str, Any], retries: int) -> bool:
    """Return whether a job is still to be run, if no process runs it already."""
    if entry["status"] == "failed":
        return not entry["final"] and entry["tries"] <= retries
    return entry["status"] not in OVER


def _of_finished(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry holds of the record of a finished run, for the jobs after it."""
    return {"threads": run.get("threads"), "fingerprint": (run.get("data") or {}).get("fingerprint")}
