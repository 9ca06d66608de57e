"""Sweeps of small training runs in background processes, for tests that watch and stop them."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from trained_model import ARGUMENTS

import bisum

ROOT = str(Path(bisum.__file__).parents[1])
SMALL = [*ARGUMENTS, "evaluation.bootstrap_samples=100", "evaluation.shown_summaries=0", "tracker=none"]


def start(folder, *arguments, env=None):
    """Start a command line in the background, in its own session."""
    return subprocess.Popen(
        [sys.executable, "-m", "bisum", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def jobs_of(process):
    """The child processes of a sweep's process."""
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("utf-8").split()


def kill(process, *, jobs):
    """Kill a sweep's process, with its jobs (as in a power failure) or without (`kill -9`)."""
    running = jobs_of(process)
    os.kill(process.pid, signal.SIGKILL)
    for pid in running if jobs else ():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    process.communicate()


def entries(sweep):
    return json.loads((sweep / "sweep.json").read_text("utf-8"))["jobs"]


def statuses(sweep):
    return [entry["status"] for entry in entries(sweep)]


def record(sweep, job):
    return json.loads((sweep / f"{job}/run.json").read_text("utf-8"))


def numbers(sweep, job):
    """A job's logged metrics, except its speed, its predictions and its best and test scores."""
    lines = [json.loads(line) for line in (sweep / f"{job}/metrics.jsonl").read_text("utf-8").splitlines()]
    for line in lines:
        line.pop("train/examples_per_second", None)
    predictions = {path.name: path.read_text("utf-8") for path in (sweep / f"{job}/predictions").glob("*.jsonl")}
    return lines, predictions, record(sweep, job)["best"], record(sweep, job)["test"]


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_training(sweep, job):
    return (sweep / f"{job}/metrics.jsonl").exists()
