"""Uploads of a run's checkpoints while it trains, each by `bisum push` in a separate process.

A separate process shares neither random generators nor the GIL with training, and it can be killed if it hangs. A
failed upload never stops the run: bisum warns, and the next upload replaces it.
"""

from __future__ import annotations

import json
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
from bisum.runs.checkpoints import MANIFEST, OPTIMIZER, UPLOADS
from bisum.runs.processes import child_environment

_LAST_TRIES = 2
"""Attempts at the final upload."""
_POLL = 0.1
"""Polling interval in seconds while the run waits for uploads."""
_OUT, _ERRORS = "out", "errors"
"""Files with the output of an upload's process."""
_NICENESS = 10
"""Priority of an upload's process, below that of training."""


@dataclass(frozen=True)
class _Outcome:
    """The end of an upload."""

    kept: Path
    """The kept checkpoint."""
    commit: str | None
    """The page of the commit; None if the upload failed."""
    problem: str | None


def check_login() -> None:
    """Refuse uploads without a login or network, without using either; see `bisum.hub.repository.check_login`."""
    from bisum.hub.repository import check_login

    check_login()


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
        self._unsent: str | None = None
        """The newest checkpoint, until it is uploaded."""
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ending = False
        self._changed = Condition()
        self._thread = Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Create the repository and wait for checkpoints; a second call does nothing.

        Raises:
            UserError: the hub refuses the login or the repository.
        """
        if not self._options.push or self._thread.is_alive():
            return
        from bisum.hub.repository import Repository, Unreachable

        shutil.rmtree(self._folder, ignore_errors=True)
        repository, screen = Repository(self._repo_id, self._options.private), self._run.screen
        try:
            repository = repository.created()
        except Unreachable as error:
            screen.warn(f"{error}; the next evaluation tries again")
        self._repo_id = repository.name
        self._record(repository=repository.name, url=repository.url)
        screen.note(f"hub: uploading to {repository.url} ({repository.visibility}) after each evaluation")
        self._thread.start()

    def add(self, checkpoint: Path) -> None:
        """Upload a checkpoint with the run's scores so far; return at once."""
        if not self._options.push:
            return
        self._report()
        self._count += 1
        self._unsent = checkpoint.name
        try:
            kept = _keep(self._run.directory, checkpoint, self._folder / str(self._count))
        except OSError as error:  # such as a full disk
            shutil.rmtree(self._folder / str(self._count), ignore_errors=True)
            self._run.screen.warn(f"hub: {checkpoint.name} was not uploaded: {one_line(error)}")
            self._record(problem=one_line(error))
            return
        with self._changed:
            earlier = [*self._failed, *self._waiting]
            self._failed = []
            self._waiting = deque([*earlier, kept] if self._options.revisions else [kept])
            self._changed.notify()
        for path in [] if self._options.revisions else earlier:
            _delete(path)

    def finish(self, checkpoint: Path) -> None:
        """Upload the best checkpoint with the final scores, and wait for it; Ctrl-C ends the wait."""
        if not self._options.push:
            return
        with self._run.screen.progress(f"uploading to {self._repo_id} (Ctrl-C ends the wait)"):
            for _ in range(_LAST_TRIES):
                self.add(checkpoint)
                while self._is_busy() and self._run.interrupts.signal is None:
                    time.sleep(_POLL)  # a signal is handled between two waits
                self._report()
                if self._unsent is None and not self._failed:
                    break

    def close(self) -> None:
        """End all uploads, and name the command that completes them."""
        if not self._options.push:
            return
        with self._changed:
            self._is_ending = True
            self._waiting.clear()
            self._kill()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()
        if self._unsent is not None or self._failed:
            again = " hub.revisions=true" if self._options.revisions else ""
            self._run.screen.warn(
                f"hub: the upload is incomplete; after the run, upload its best checkpoint with: bisum push "
                f"{self._run.shown}{again}"
            )
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_busy(self) -> bool:
        with self._changed:
            return self._thread.is_alive() and (bool(self._waiting) or self._process is not None)

    def _kill(self) -> None:
        """Kill the process of the current upload and its children."""
        if self._process is not None and self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _report(self) -> None:
        """Record and show the outcomes since the last call."""
        while self._outcomes:
            outcome = self._outcomes.popleft()
            name = outcome.kept.name
            if outcome.commit is not None:
                self._record(uploaded=name, commit=outcome.commit, problem=None)
                self._run.screen.note(f"hub: uploaded {name}: {outcome.commit}")
                self._unsent = None if self._unsent == name else self._unsent
                _delete(outcome.kept)
            else:
                self._record(problem=outcome.problem)
                self._run.screen.warn(f"hub: {name} was not uploaded: {outcome.problem}")
                self._failed.append(outcome.kept)

    def _record(self, **entries: str | None) -> None:
        self._run.update(hub={**(self._run.record.get("hub") or {}), **entries})

    def _work(self) -> None:
        """Upload what waits, until the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ending)
                if self._is_ending:
                    return
                kept = self._waiting.popleft()
                try:
                    self._process = self._start(kept)
                except OSError as error:
                    self._outcomes.append(_Outcome(kept, None, one_line(error)))
                    continue
            outcome = self._await(kept, self._process)
            with self._changed:
                self._process = None
                if not self._is_ending:
                    self._outcomes.append(outcome)

    def _start(self, kept: Path) -> subprocess.Popen[bytes]:
        options = self._options
        settings: dict[str, object] = {"repo_id": self._repo_id, "license": options.license}
        settings |= {"private": options.private, "revisions": options.revisions}
        model = self._run.config.model
        of_base = {"base": model.base, "pickled_weights": model.pickled_weights}
        folder = kept.parents[1]
        # Files, since a pipe stays open in processes that training forks at the same time.
        with (folder / _OUT).open("wb") as out, (folder / _ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bisum", "push", str(kept)]
                + [f"hub.{key}={_argument(value)}" for key, value in settings.items()]
                + [f"model.{key}={_argument(value)}" for key, value in of_base.items()],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                # The temporary folder is deleted with this one, even after a kill.
                env=child_environment(OMP_NUM_THREADS="1", TMPDIR=str(folder.absolute())),
                start_new_session=True,  # Ctrl-C must reach only the run, which ends its uploads
            )
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        return process

    def _await(self, kept: Path, process: subprocess.Popen[bytes]) -> _Outcome:
        """Wait for an upload's process, but not beyond `hub.timeout`."""
        try:
            code = process.wait(60 * self._options.timeout)
        except subprocess.TimeoutExpired:
            self._kill()
            process.wait()
            minutes = f"{self._options.timeout:g} minutes (hub.timeout)"
            return _Outcome(kept, None, f"the hub has not completed the upload within {minutes}")
        folder = kept.parents[1]
        if code == 0:
            return _Outcome(kept, _last_line(folder / _OUT).rpartition(" ")[2], None)
        said = _last_line(folder / _ERRORS)
        known = said.removeprefix("bisum: ").removeprefix("hub.repo_id: ") if said.startswith("bisum: ") else ""
        how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return _Outcome(kept, None, known or f"its process {how}: {said}".rstrip(": "))


def _last_line(file: Path) -> str:
    try:
        return one_line(next(reversed(file.read_text("utf-8", errors="replace").splitlines()), ""))
    except OSError:
        return ""


def _argument(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _keep(run: Path, checkpoint: Path, folder: Path) -> Path:
    """Keep a run's record and one checkpoint in a folder, as they are, and return the checkpoint there.

    The checkpoint's files are hard links: they use no extra space and remain when the run deletes the checkpoint.
    """
    kept = folder / "checkpoints" / checkpoint.name
    kept.mkdir(parents=True)
    for name in [MANIFEST, *json.loads((checkpoint / MANIFEST).read_text("utf-8"))]:
        if name != OPTIMIZER:
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            _link(checkpoint / name, kept / name)
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
