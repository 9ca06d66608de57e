"""The machine that the jobs of a sweep share: its cores and GPUs, and each job's part of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bisum.config.jobs import Job
from bisum.errors import UserError, complain, one_line, shown
from bisum.runs.entries import THREADS

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
"""Variables that say how many threads torch, its libraries and the tokenizers use."""
_GPUS = "CUDA_VISIBLE_DEVICES"
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/proc/driver/nvidia/version")
"""Files that only a machine with a GPU driver has."""
_PATIENCE = 120.0
"""Seconds that torch may take to find the GPUs."""


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


def visible_gpus(jobs: Sequence[Job]) -> list[str]:
    """Return the GPUs that torch finds, as `CUDA_VISIBLE_DEVICES` names them; none if no job asks for one.

    Torch is asked in a process of its own, since it takes seconds to import; without a GPU's driver it is not asked.
    """
    wanted = any(job.config.hardware.device in ("auto", "gpu") for job in jobs)
    if not wanted or not any(map(os.path.exists, _DRIVERS)):
        return []
    program = "import torch; print(torch.cuda.device_count())"
    command = [sys.executable, "-P", "-c", program]
    try:
        asked = subprocess.run(
            command, env=Share(None, None).environment(), capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
        number = int(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        complain(f"torch did not say how many GPUs there are ({one_line(error)[:200]}); the jobs see all of them")
        return []
    named = [name.strip() for name in os.environ.get(_GPUS, "").split(",") if name.strip()]
    return named[:number] if named else [str(index) for index in range(number)]


def cores() -> int:
    """Return the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_a_job(parallel: int) -> int | None:
    """Return the threads of each of several jobs that run at once; None for a single job, for which torch chooses.

    `OMP_NUM_THREADS` in the environment takes precedence.

    Raises:
        UserError: it is a number of threads that no machine has.
    """
    chosen = os.environ.get(_THREADS[0], "").partition(",")[0].strip()  # a list has a number for each nested level
    if chosen.isdecimal() and int(chosen) > 0:
        if problem := THREADS.problem(int(chosen)):
            raise UserError(f"{_THREADS[0]}={shown(chosen)}: {problem}")
        return int(chosen)
    return max(1, cores() // parallel) if parallel > 1 else None
