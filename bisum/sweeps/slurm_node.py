"""What submitit runs on a node of a Slurm cluster; it is light, since the work is done by a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any


class OnNode:
    """A process that works on a sweep, as submitit calls it: pickled at submission, and again at a checkpoint."""

    def __init__(self, directory: str, number: int | None, config_dir: str | None) -> None:
        """Describe the work.

        Args:
            directory: the sweep's directory, on a file system that the node shares.
            number: the job to run; None: any job of a search, one after the other.
            config_dir: the folder of `--config-dir`.
        """
        self._words = [directory, "" if number is None else str(number), config_dir or ""]

    def __call__(self) -> int:
        """Work, and return the exit code."""
        # The other process alone has the end to write to, so that reading tells when it has ended. Popen.wait would
        # not do: its lock is held when the handler of a signal, in the same thread, wants to wait, too.
        self._ended, end = os.pipe()
        self._is_stopping = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bisum.cli.worker", *self._words],
            pass_fds=[end],
            preexec_fn=_ignore_signal,
        )
        os.close(end)
        os.read(self._ended, 1)
        return self._process.wait()

    def checkpoint(self) -> Any:
        """Let the work stop where it can be resumed, and return what is queued again; submitit calls it on a signal."""
        from submitit.helpers import DelayedSubmission

        if not self._is_stopping:  # Slurm may send the signal twice, and a second request would end the work at once
            self._is_stopping = True
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
        os.read(self._ended, 1)
        directory, number, config_dir = self._words
        return DelayedSubmission(OnNode(directory, int(number) if number else None, config_dir or None))


def _ignore_signal() -> None:
    # Slurm signals all processes of a job; this one asks the other to save a checkpoint.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
