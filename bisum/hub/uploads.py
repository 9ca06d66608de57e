"""Uploads of a run's checkpoints while it trains, each by `bisum push` in a process of its own.

A process shares neither random generators nor Python's lock with training, and can be killed if it hangs. The run goes
on whatever happens to an upload: a failed one costs a warning, and the next one makes up for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Thread

from bisum.errors import one_line
from bisum.records.run import Run
from bisum.runs.checkpoints import OPTIMIZER, UPLOADS


@dataclass(frozen=True)
class _Result:
    checkpoint: str
    place: str
    """The commit's page, or why the upload failed."""
    is_uploaded: bool


class Uploads:
    """The uploads of one run, one at a time; without `hub.push`, it does nothing.

    A checkpoint that waits is replaced by the next one, unless `hub.revisions` asks for each.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._options = run.config.hub
        self._repo_id = str(self._options.repo_id)
        self._waiting: deque[Path] = deque()
        self._results: deque[_Result] = deque()
        self._changed = Condition()
        self._process: subprocess.Popen[str] | None = None
        self._is_ending = False
        self._count = 0
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
            screen.warn(f"hub: {error}; training goes on, and every evaluation tries to upload again")
        self._repo_id = repository.name
        self._run.update(hub={"repository": repository.name, "url": repository.url, "uploaded": None, "failed": None})
        screen.note(f"uploading to {repository.url} after each evaluation")
        self._thread.start()

    def add(self, checkpoint: Path) -> None:
        """Upload a checkpoint with the run's scores so far; return at once."""
        if not self._options.push:
            return
        self._report()
        self._count += 1
        kept = _snapshot(self._run.directory, checkpoint, self._folder / str(self._count))
        with self._changed:
            while self._waiting and not self._options.revisions:
                _delete(self._waiting.popleft())
            self._waiting.append(kept)
            self._changed.notify()

    def finish(self, checkpoint: Path) -> None:
        """Upload the best checkpoint with the final scores, and wait for it; Ctrl-C ends the wait."""
        if not self._options.push:
            return
        self.add(checkpoint)
        with self._run.screen.progress(f"uploading to {self._repo_id}"):
            with self._changed:
                self._is_ending = True
                self._changed.notify()
            while self._thread.is_alive():
                self._thread.join(0.2)  # a signal is handled between two waits
        self._report()
        if failed := self._run.record["hub"]["failed"]:
            self._run.screen.warn(f"hub: {checkpoint.name} is not uploaded: {failed}")
            self._run.screen.warn(f"hub: finish with: bisum push {self._run.shown}")

    def close(self) -> None:
        """End all uploads."""
        if not self._options.push:
            return
        with self._changed:
            self._is_ending = True
            unfinished = bool(self._waiting) or self._process is not None
            self._waiting.clear()
            self._changed.notify()
            if self._process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        if self._thread.is_alive():
            self._thread.join()
        if unfinished:
            self._run.screen.warn(f"hub: the newest checkpoint is not uploaded; finish with: bisum push {self._run.shown}")
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self._run.directory / UPLOADS

    def _report(self) -> None:
        """Record and show the results since the last call."""
        while self._results:
            result = self._results.popleft()
            recorded = self._run.record["hub"]
            if result.is_uploaded:
                self._run.update(hub={**recorded, "uploaded": result.checkpoint, "commit": result.place, "failed": None})
                self._run.screen.note(f"uploaded {result.checkpoint}: {result.place}")
            else:
                self._run.update(hub={**recorded, "failed": result.place})
                if not self._is_ending:
                    self._run.screen.warn(f"hub: {result.checkpoint} is not uploaded: {result.place}")

    def _work(self) -> None:
        """Upload what waits, until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ending)
                if not self._waiting:
                    return
                kept = self._waiting.popleft()
                self._process = self._start(kept)
            out, errors = self._process.communicate()
            is_uploaded = self._process.returncode == 0
            last = next(reversed((out if is_uploaded else errors).splitlines()), "")
            place = last.rpartition(" ")[2] if is_uploaded else one_line(last.removeprefix("bisum: "))
            with self._changed:
                self._process = None
            self._results.append(_Result(kept.name, place, is_uploaded))
            _delete(kept)

    def _start(self, checkpoint: Path) -> subprocess.Popen[str]:
        settings = {"repo_id": self._repo_id, "license": self._options.license or "null"}
        flags = {"private": self._options.private, "revisions": self._options.revisions}
        settings |= {name: str(value).lower() for name, value in flags.items()}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "bisum", "push", str(checkpoint)]
            + [f"hub.{name}={value}" for name, value in settings.items()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C must reach only the run, which ends its uploads
        )


def _snapshot(run: Path, checkpoint: Path, folder: Path) -> Path:
    """Keep a run's record and a checkpoint in a folder, as they are; return the checkpoint there.

    Its files are linked, which takes no time, and stay when the run deletes the checkpoint.
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
    """Delete the folder of `_snapshot`."""
    shutil.rmtree(kept.parents[1], ignore_errors=True)
