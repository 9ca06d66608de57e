"""Uploads of a run's checkpoints while it trains, each by `bisum push` in a process of its own.

A process shares neither random generators nor Python's lock with training, and can be killed if it hangs. The run goes
on whatever happens to an upload: a failed one costs a warning, and a later one makes up for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread

from bisum.errors import one_line
from bisum.records.run import Run
from bisum.runs.checkpoints import OPTIMIZER, UPLOADS

_LAST_TRIES = 2
"""Number of times that a run tries to upload everything at its end."""
_POLL = 0.1
"""Seconds between two looks at the uploads while a run waits for them."""
_NICENESS = 10
"""Priority of an upload's process, below that of training."""


@dataclass(frozen=True)
class _Outcome:
    """The end of an upload."""

    kept: Path
    """The kept checkpoint."""
    commit: str | None
    """The page of the commit; None if the upload failed."""
    problem: str


class Uploads:
    """The uploads of one run, one at a time; without `hub.push`, it does nothing.

    A checkpoint that waits for its upload is replaced by the next one, unless `hub.revisions` asks for all.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._options = run.config.hub
        self._repo_id = str(self._options.repo_id)
        self._folder = run.directory / UPLOADS
        self._count = 0
        self._waiting: deque[Path] = deque()
        self._outcomes: deque[_Outcome] = deque()
        self._failed: list[Path] = []
        self._process: subprocess.Popen[str] | None = None
        self._is_ending = False
        self._changed = Condition()
        self._thread = Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Check the login, create the repository and wait for checkpoints.

        Raises:
            UserError: there is no login, or the hub refuses it or the repository.
        """
        if not self._options.push:
            return
        from bisum.hub.repository import Repository, Unreachable

        repository, screen = Repository(self._repo_id, self._options.private), self._run.screen
        try:
            repository = repository.created()
        except Unreachable as error:
            screen.warn(f"{error}: each evaluation uploads again")
        self._repo_id = repository.name
        self._run.update(hub={"repository": repository.name, "url": repository.url})
        visibility = "private" if self._options.private else "public"
        screen.note(f"hub: uploading to {repository.url} ({visibility}) after each evaluation")
        self._thread.start()

    def add(self, checkpoint: Path) -> None:
        """Upload a checkpoint with the run's scores so far; return at once."""
        if not self._options.push:
            return
        self._report()
        self._count += 1
        try:
            kept = _keep(self._run.directory, checkpoint, self._folder / str(self._count))
        except OSError as error:  # such as a full disk
            self._run.screen.warn(f"hub: {checkpoint.name} not uploaded: {one_line(error)}")
            return
        with self._changed:
            replaced = [*self._failed, *self._waiting]
            self._failed = []
            self._waiting = deque([*replaced, kept] if self._options.revisions else [kept])
            self._changed.notify()
        for path in [] if self._options.revisions else replaced:
            _delete(path)

    def finish(self, checkpoint: Path) -> None:
        """Upload the best checkpoint with the final scores, and wait for it; Ctrl-C ends the wait."""
        if not self._options.push:
            return
        with self._run.screen.progress(f"uploading to {self._repo_id}"):
            for _ in range(_LAST_TRIES):
                self.add(checkpoint)
                while self._is_busy() and self._run.interrupts.signal is None:
                    time.sleep(_POLL)  # a signal is handled between two waits
                self._report()
                if not self._failed:
                    break

    def _is_busy(self) -> bool:
        with self._changed:
            return bool(self._waiting) or self._process is not None

    def close(self) -> None:
        """End all uploads, and report what was not uploaded."""
        if not self._options.push:
            return
        with self._changed:
            self._is_ending = True
            unfinished = [*self._failed, *self._waiting]
            self._waiting.clear()
            if self._process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()
            self._report()
        if names := list(dict.fromkeys(path.name for path in (*unfinished, *self._failed))):
            self._run.screen.warn(
                f"hub: {', '.join(names)} not uploaded; training has not lost anything, and this uploads the best "
                f"checkpoint: bisum push {self._run.shown}"
            )
        shutil.rmtree(self._folder, ignore_errors=True)

    def _report(self) -> None:
        """Record and show the outcomes since the last call."""
        while self._outcomes:
            outcome = self._outcomes.popleft()
            name = outcome.kept.name
            if outcome.commit is not None:
                entries = {"uploaded": name, "commit": outcome.commit, "problem": None}
                self._run.screen.note(f"hub: uploaded {name}: {outcome.commit}")
                _delete(outcome.kept)
            else:
                entries = {"problem": outcome.problem}
                self._run.screen.warn(f"hub: {name} not uploaded: {outcome.problem}")
                self._failed.append(outcome.kept)
            self._run.update(hub={**self._run.record["hub"], **entries})

    def _work(self) -> None:
        """Upload what waits, until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ending)
                if not self._waiting:
                    return
                kept = self._waiting.popleft()
                try:
                    process = self._process = self._start(kept)
                except OSError as error:
                    self._outcomes.append(_Outcome(kept, None, one_line(error)))
                    continue
            out, errors = process.communicate()
            last = next(reversed((errors if process.returncode else out).splitlines()), "")
            problem = (
                one_line(last.removeprefix("bisum: ").removeprefix("hub.repo_id: "))
                or f"the process ended with code {process.returncode}"
            )
            self._outcomes.append(_Outcome(kept, None if process.returncode else last.rpartition(" ")[2], problem))
            with self._changed:
                self._process = None

    def _start(self, kept: Path) -> subprocess.Popen[str]:
        options = self._options
        settings = {"repo_id": self._repo_id, "license": options.license, "private": options.private}
        shown = {name: "null" if value is None else str(value) for name, value in settings.items()}
        shown |= {name: str(getattr(options, name)).lower() for name in ("private", "revisions")}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bisum", "push", str(kept), *(f"hub.{key}={shown[key]}" for key in shown)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C must reach only the run, which ends its uploads
        )
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        return process


def _keep(run: Path, checkpoint: Path, folder: Path) -> Path:
    """Keep a run's record and one checkpoint in a folder, as they are, and return the checkpoint there.

    Its files are linked, which takes no time, and remain when the run deletes the checkpoint.
    """
    kept = folder / "checkpoints" / checkpoint.name
    kept.mkdir(parents=True)
    for path in checkpoint.iterdir():
        if path.name != OPTIMIZER:
            _link(path, kept / path.name)
    for name in ("run.json", "metrics.jsonl"):
        shutil.copyfile(run / name, folder / name)
    return kept


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # the file system has no hard links
        shutil.copyfile(file, name)


def _delete(kept: Path) -> None:
    """Delete the folder of a kept checkpoint."""
    shutil.rmtree(kept.parents[1], ignore_errors=True)
