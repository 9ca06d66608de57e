"""The machine shared by the jobs of a sweep: its cores and GPUs, and each job's share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bisum.config.jobs import Job
from bisum.errors import UserError, complain, one_line, shown
from bisum.runs.entries import THREADS
from bisum.runs.processes import child_environment

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
"""Environment variables that set the threads of torch, its libraries and the tokenizers."""
_GPUS = "CUDA_VISIBLE_DEVICES"
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/proc/driver/nvidia/version")
"""Files that exist only with a GPU driver."""
_GPU_TIMEOUT = 120.0
"""Seconds allowed for torch to find the GPUs."""


@dataclass(frozen=True)
class Share:
    """A job's share of the machine."""

    threads: int | None
    """Number of threads; None: the libraries choose."""
    gpu: str | None
    """Its visible GPU, as in `CUDA_VISIBLE_DEVICES`; None: all GPUs."""

    def environment(self) -> dict[str, str]:
        """Return the environment of the job's process."""
        own = {} if self.threads is None else dict.fromkeys(_THREADS, str(self.threads))
        gpu = {} if self.gpu is None else {_GPUS: self.gpu}
        return child_environment(**own, **gpu)


def visible_gpus(jobs: Sequence[Job]) -> list[str]:
    """Return the GPUs found by torch, as in `CUDA_VISIBLE_DEVICES`; [] if no job uses one.

    Torch runs in a separate process, because importing it takes seconds. Without a GPU driver, torch is not started.
    """
    wanted = any(job.config.hardware.device in ("auto", "gpu") for job in jobs)
    if not wanted or not any(map(os.path.exists, _DRIVERS)):
        return []
    program = "import torch; print(torch.cuda.device_count())"
    command = [sys.executable, "-P", "-c", program]
    try:
        done = subprocess.run(
            command,
            env=Share(None, None).environment(),
            capture_output=True,
            text=True,
            timeout=_GPU_TIMEOUT,
            check=True,
        )
        number = int(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        complain(f"torch could not count the GPUs ({one_line(error)[:200]}); every job sees all of them")
        return []
    named = [name.strip() for name in os.environ.get(_GPUS, "").split(",") if name.strip()]
    return named[:number] if named else [str(index) for index in range(number)]


def cores() -> int:
    """Return the number of CPU cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_a_job(parallel: int) -> int | None:
    """Return the threads of each of `parallel` concurrent jobs; None for a single job, where torch chooses.

    `OMP_NUM_THREADS` in the environment takes precedence.

    Raises:
        UserError: it is out of range.
    """
    chosen = os.environ.get(_THREADS[0], "").partition(",")[0].strip()  # a list has a number for each nested level
    if chosen.isdecimal() and int(chosen) > 0:
        if problem := THREADS.problem(int(chosen)):
            raise UserError(f"{_THREADS[0]}={shown(chosen)}: {problem}")
        return int(chosen)
    return max(1, cores() // parallel) if parallel > 1 else None
