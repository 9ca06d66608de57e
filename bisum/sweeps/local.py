"""The launcher `hydra/launcher=local`: each job in a process of its own, with its share of the machine."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import DictConfig

from bisum.config.jobs import Job
from bisum.sweeps.work import Work

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
"""Variables that say how many threads torch, its libraries and the tokenizers use."""
_GPUS = "CUDA_VISIBLE_DEVICES"
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/proc/driver/nvidia/version")
"""Files that only a machine with a GPU driver has."""


class Local:
    """The target of `hydra/launcher=local`, which has no settings: `sweep` has them. Hydra never calls it."""


@dataclass(frozen=True)
class Share:
    """What a job gets of the machine."""

    threads: int | None
    """Threads to compute with; None: as many as the libraries choose."""
    gpu: str | None
    """The GPU that it sees, as `CUDA_VISIBLE_DEVICES` names it; None: all there are."""

    def environment(self) -> dict[str, str]:
        """Return the environment of the job's process."""
        own = {} if self.threads is None else dict.fromkeys(_THREADS, str(self.threads))
        gpu = {} if self.gpu is None else {_GPUS: self.gpu}
        return {**os.environ, **own, **gpu, "PYTHONPATH": os.pathsep.join(sys.path)}


@dataclass(frozen=True)
class Handover:
    """What a job's process gets: plain data, from which it builds and checks the configuration anew."""

    command: str
    values: Mapping[str, Any]
    """The configuration with interpolations resolved, and the run to resume, if any."""
    provenance: Mapping[str, Any]
    """Fields of `Provenance`, but for the command and the configuration."""
    recorded: Mapping[str, Any]
    """Fields of `Recorded`."""
    composed: DictConfig
    """The composed configuration, `hydra` node included."""
    config_dir: str | None
    claim: int
    """Descriptor of the job's lock, which lives as long as the process."""


class JobProcess:
    """The process of one job; see `bisum.sweeps.work.Execution`."""

    def __init__(self, entry: str, work: Work, share: Share, config_dir: str | None) -> None:
        """Start the process.

        Args:
            entry: the module whose main program reads a `Handover` from standard input.
            work: the job, and where it runs.
            share: its share of the machine.
            config_dir: the folder of `--config-dir`.
        """
        with (work.directory / "train.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", entry],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=share.environment(),
                pass_fds=[work.claim.fileno()],
                start_new_session=True,  # Ctrl-C reaches the sweep alone, which tells its jobs to stop
            )
        self.pid = self._process.pid
        payload = pickle.dumps(_handover(work.job, work, config_dir))
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already; its exit code tells how
            self._process.stdin.write(struct.pack("!Q", len(payload)) + payload)
            self._process.stdin.flush()  # it stays open: the job stops when the sweep's process has ended

    def poll(self) -> int | None:
        """Return the exit code, negative for the signal that killed the process; None while it runs."""
        return self._process.poll()

    def interrupt(self, number: int) -> None:
        """Send a signal to the process; a second one ends the job at once."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process, and what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def read_handover() -> Handover:
    """Read from standard input what the process of a sweep hands to a job's."""
    stream = sys.stdin.buffer
    (length,) = struct.unpack("!Q", stream.read(8))
    handover = pickle.loads(stream.read(length))
    assert isinstance(handover, Handover)
    return handover


def _handover(job: Job, work: Work, config_dir: str | None) -> Handover:
    provenance = job.config.provenance
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
        },
        recorded=asdict(provenance.recorded),
        composed=job.composed,
        config_dir=config_dir,
        claim=work.claim.fileno(),
    )


def visible_gpus(jobs: Sequence[Job]) -> list[str]:
    """Return the GPUs that torch finds, as `CUDA_VISIBLE_DEVICES` names them; none if no job asks for one.

    Torch is asked in a process of its own, since it takes seconds to import; without a GPU's driver it is not asked.
    """
    wanted = any(job.config.hardware.device in ("auto", "gpu") for job in jobs)
    if not wanted or not any(map(os.path.exists, _DRIVERS)):
        return []
    program = "import torch; print(torch.cuda.device_count())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    asked = subprocess.run([sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True)
    number = int(asked.stdout) if asked.stdout.strip().isdecimal() else 0
    named = [name.strip() for name in os.environ.get(_GPUS, "").split(",") if name.strip()]
    return named[:number] if named else [str(index) for index in range(number)]


def cores() -> int:
    """Return the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_a_job(parallel: int) -> int | None:
    """Return the threads of each of several jobs that run at once; None for a single job, for which torch chooses.

    `OMP_NUM_THREADS` in the environment takes precedence.
    """
    chosen = os.environ.get(_THREADS[0], "").strip()
    if chosen.isdecimal() and int(chosen) > 0:
        return int(chosen)
    return max(1, cores() // parallel) if parallel > 1 else None
