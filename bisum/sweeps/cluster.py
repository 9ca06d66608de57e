"""Slurm: submitit submits the jobs, and squeue reports their states.

sacct is not used, because many clusters run no accounting.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from bisum.config.options import SlurmOptions
from bisum.errors import UserError, one_line, printable
from bisum.sweeps.slurm_node import OnNode


def import_submitit() -> Any:
    """Import submitit and check for Slurm; raises `UserError` if either is missing."""
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise UserError(
            "hydra/launcher=slurm: needs submitit, which is not installed: pip install 'bisum[slurm]'"
        ) from error
    _command("sbatch", "--version")
    return submitit


def submit(submitit: Any, folder: Path, options: SlurmOptions, nodes: Sequence[OnNode], parallel: int) -> list[str]:
    """Submit one array, and return the ids of its jobs."""
    optional = {
        "partition": options.partition,
        "gpus_per_node": options.gpus or None,
        "mem": None if options.memory is None else f"{round(options.memory * 1024)}MB",
        "account": options.account,
        "qos": options.qos,
        "constraint": options.constraint,
    }
    printed = StringIO()  # submitit repeats what sbatch prints
    try:
        executor = submitit.SlurmExecutor(folder, max_num_timeout=options.max_timeouts)
        executor.update_parameters(
            job_name="bisum",
            time=options.time,
            cpus_per_task=options.cpus,
            signal_delay_s=options.signal_delay,
            array_parallelism=parallel,
            stderr_to_stdout=True,
            **{name: value for name, value in optional.items() if value is not None},
        )
        with redirect_stderr(printed), _importable(), executor.batch():
            jobs = [executor.submit(node) for node in nodes]
        return [str(job.job_id) for job in jobs]
    except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
        lines = re.findall(r"sbatch: error: (.*)", f"{printed.getvalue()}\n{error}") or [one_line(error)]
        message = lines[0].removeprefix("Batch job submission failed: ")
        raise UserError(f"hydra.launcher: Slurm rejected the jobs: {printable(message)[:300]}") from error


@contextmanager
def _importable() -> Iterator[None]:
    """Export this process's import path to the jobs."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def states() -> dict[str, str]:
    """Return the state of each of the user's unfinished jobs by id: queued and why, starting, or another state."""
    listed = _command("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%T|%r")
    found = {}
    for line in listed.splitlines():
        id_, state, reason = line.strip().split("|", 2)
        queued = f"queued: {reason}" if reason not in ("None", "Priority", "Resources", "BeginTime") else "queued"
        found[id_] = {"PENDING": queued, "CONFIGURING": "starting", "RUNNING": "starting"}.get(state, state.lower())
    return found


def end_state(id_: str) -> str:
    """Return Slurm's final state of a job as a suffix for messages; "" if Slurm has forgotten the job."""
    try:
        description = _command("scontrol", "show", "job", "-o", id_)
    except UserError:
        return ""
    state, why = (re.search(rf"\b{name}=(\S+)", description) for name in ("JobState", "Reason"))
    return f": {state[1]}{f' ({why[1]})' if why and why[1] != 'None' else ''}" if state else ""


def _command(*arguments: str) -> str:
    """Return the output of a Slurm command; raises `UserError` if it fails."""
    try:
        return subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120).stdout
    except FileNotFoundError as error:
        raise UserError(
            f"hydra/launcher=slurm: {arguments[0]} is missing; run this on a machine that submits to a Slurm cluster"
        ) from error
    except subprocess.SubprocessError as error:
        printed = [line for line in str(getattr(error, "stderr", None) or error).splitlines() if line.strip()]
        message = re.sub(rf"^{arguments[0]}: (error|fatal): ", "", printed[-1].strip()) if printed else one_line(error)
        raise UserError(f"hydra/launcher=slurm: {arguments[0]} failed: {printable(message)[:300]}") from error
