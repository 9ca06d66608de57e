"""Callable that submitit runs on a Slurm node; it is lightweight, since a separate process does the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any


class Slurm:
    """The target of `hydra/launcher=slurm`; `SlurmOptions` are its settings. Hydra never calls it."""


class OnNode:
    """submitit's callable for work on a sweep, pickled at submission and again at a checkpoint."""

    def __init__(self, directory: str, number: int | None, config_dir: str | None, given: Sequence[str]) -> None:
        """Describe the work.

        Args:
            directory: the sweep's directory, on a shared file system.
            number: the job to run; None: any job of a search, one after the other.
            config_dir: the folder of `--config-dir`.
            given: the arguments of the command line that resumed the sweep.
        """
        self._arguments = directory, number, config_dir, given

    def __call__(self) -> int:
        """Work on the sweep; return 0, or exit with another code, so that Slurm also records it."""
        directory, number, config_dir, given = self._arguments
        arguments = [directory, "" if number is None else str(number), config_dir or "", *given]
        self._is_stopping = False
        # Slurm sends the signal to all processes of a job. It is blocked in the child, which inherits the mask, and in
        # this process until its handler can reach the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        # Only the child holds the write end, so a read returns when it ends. Popen.wait would deadlock: the handler, in
        # the same thread, would wait for its lock.
        self._ended, end = os.pipe()
        command = [sys.executable, "-P", "-m", "bisum.cli.worker", *arguments]
        self._process = subprocess.Popen(command, pass_fds=[end])
        os.close(end)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
        os.read(self._ended, 1)
        if code := self._process.wait():
            sys.exit(code if code > 0 else 128 - code)
        return 0

    def checkpoint(self) -> Any:
        """Stop the work where it can be resumed, and return the job to requeue; submitit calls this on a signal."""
        from submitit.helpers import DelayedSubmission

        if not self._is_stopping:  # Slurm can send the signal twice, and a second request would end the work at once
            self._is_stopping = True
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
        os.read(self._ended, 1)
        return DelayedSubmission(OnNode(*self._arguments))
