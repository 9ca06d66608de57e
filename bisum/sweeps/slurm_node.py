"""What submitit runs on a node of a Slurm cluster; it is light, since the work is done by a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
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
        # Slurm signals all processes of a job; this one asks the other to save a checkpoint.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bisum.cli.worker", *self._words], preexec_fn=_ignore_signal
        )
        return self._process.wait()

    def checkpoint(self) -> Any:
        """Let the work stop where it can be resumed, and return what is queued again."""
        from submitit.helpers import DelayedSubmission

        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        del self._process
        return DelayedSubmission(self)


def _ignore_signal() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
