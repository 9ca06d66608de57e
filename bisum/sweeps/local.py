"""The launcher `hydra/launcher=local`: each job in its own process, with its share of the machine."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import DictConfig

from bisum.sweeps.machine import Share
from bisum.sweeps.work import Work

AT_ONCE = 128
"""Added to a signal's number, in a byte on standard input, to end the job without a checkpoint."""


class Local:
    """The target of `hydra/launcher=local`. Its settings are in `sweep`; Hydra never calls it."""


@dataclass(frozen=True)
class Handover:
    """Input of a job's process: plain data, from which it rebuilds and checks the configuration."""

    command: str
    values: Mapping[str, Any]
    """The configuration with interpolations resolved, and the run to resume, if any."""
    provenance: Mapping[str, Any]
    """Fields of `Provenance`, except the command and the configuration."""
    recorded: Mapping[str, Any]
    """Fields of `Recorded`."""
    composed: DictConfig
    """The composed configuration, including the `hydra` node."""
    config_dir: str | None
    claim: int
    """File descriptor of the job's lock, held until the process ends."""


class JobProcess:
    """The process of one job; see `bisum.sweeps.work.Execution`."""

    def __init__(self, entry: str, work: Work, share: Share, config_dir: str | None) -> None:
        """Start the process.

        Args:
            entry: the module whose main program reads a `Handover` from standard input.
            work: the job and its run directory.
            share: its share of the machine.
            config_dir: the folder of `--config-dir`.
        """
        payload = pickle.dumps(_handover(work, config_dir))
        with (work.directory / "train.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", entry],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=share.environment(),
                pass_fds=[work.claim.fileno()],
                start_new_session=True,  # Ctrl-C reaches only the sweep, which stops its jobs
            )
        self._write(struct.pack("!Q", len(payload)) + payload)

    def poll(self) -> int | None:
        """Return the exit code, negative for the signal that killed the process; None while it runs."""
        return self._process.poll()

    def stop(self, number: int, *, at_once: bool = False) -> None:
        """Ask the job to stop, like a signal; a job that has already received a signal ignores this."""
        self._write(bytes([number + AT_ONCE if at_once else number]))

    def kill(self) -> None:
        """Kill the process and its children."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _write(self, contents: bytes) -> None:
        """Write to standard input, which stays open until the sweep's process ends: then the job stops."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the job has ended; see its exit code
            self._process.stdin.write(contents)
            self._process.stdin.flush()


def read_handover() -> Handover:
    """Read the input of this job's process from standard input."""
    stream = sys.stdin.buffer
    (length,) = struct.unpack("!Q", stream.read(8))
    handover = pickle.loads(stream.read(length))
    assert isinstance(handover, Handover)
    return handover


def _handover(work: Work, config_dir: str | None) -> Handover:
    provenance = work.job.config.provenance
    return Handover(
        command=provenance.command,
        values={**provenance.resolved, "resume": str(work.directory.absolute()) if work.resumes else None},
        provenance={
            "choices": dict(provenance.choices),
            "overrides": list(provenance.overrides),
            "sweep": provenance.sweep,
            "prepared": True,
            "detached": True,
            "fingerprint": work.fingerprint,
            "threads": work.threads,
            "trial": work.trial,
        },
        recorded=asdict(provenance.recorded),
        composed=work.job.composed,
        config_dir=config_dir,
        claim=work.claim.fileno(),
    )
