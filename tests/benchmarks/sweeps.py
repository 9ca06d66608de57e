"""Cost of a process per job, time saved by parallel jobs, and memory over many jobs.

PYTHONPATH=tests python tests/benchmarks/sweeps.py start      # cost of a process per job, in seconds
PYTHONPATH=tests python tests/benchmarks/sweeps.py parallel   # 8 jobs with sweep.parallel=2 and 1
PYTHONPATH=tests python tests/benchmarks/sweeps.py memory     # 60 jobs: peak memory of the jobs and of the sweep
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trained_model import ARGUMENTS

SMALL = [*ARGUMENTS, "evaluation.bootstrap_samples=100", "evaluation.shown_summaries=0", "tracker=none", "log=quiet"]
LONGER = [*SMALL, "model.architecture.d_model=128", "corpus.max_train_rows=1000", "trainer.batch_size=8"]
PEAK = """
import resource, runpy, sys
try:
    runpy.run_module("bisum", run_name="__main__", alter_sys=True)
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
BISUM = [sys.executable, "-m", "bisum"]


def sweep(folder: Path, *words: str) -> float:
    """Run a sweep and return its duration in seconds."""
    began = time.perf_counter()
    subprocess.run([*BISUM, "-m", *words, f"hydra.sweep.dir={folder}"], check=True, capture_output=True)
    return time.perf_counter() - began


def start(folder: Path) -> None:
    """Alternate sweeps of four jobs in separate processes and in one process."""
    seeds = "seed=1,2,3,4"
    pairs = [
        (
            sweep(folder / f"own{number}", *SMALL, seeds),
            sweep(folder / f"one{number}", *SMALL, seeds, "hydra/launcher=basic"),
        )
        for number in range(3)
    ]
    own, one = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"4 jobs: {own:.1f} s in separate processes, {one:.1f} s in one (medians of 3)")
    print(f"each additional process costs {(own - one) / 3:.1f} s")


def parallel(folder: Path) -> None:
    """Alternate sweeps of eight jobs, two at a time and one at a time."""
    seeds = "seed=1,2,3,4,5,6,7,8"
    pairs = [
        [sweep(folder / f"{number}-{jobs}", *LONGER, seeds, f"sweep.parallel={jobs}") for jobs in (1, 2)]
        for number in range(2)
    ]
    one, two = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"8 jobs: {one:.0f} s one at a time, {two:.0f} s two at a time (medians of 2): {one / two:.2f} times as fast")


def memory(folder: Path) -> None:
    """Run 60 jobs and print the memory of the first and last ones."""
    seeds = "seed=" + ",".join(map(str, range(60)))
    words = ["-m", *SMALL, "trainer.epochs=1", seeds, "sweep.parallel=2", f"hydra.sweep.dir={folder / 'sweep'}"]
    done = subprocess.run([sys.executable, "-c", PEAK, *words], check=True, capture_output=True, text=True)
    peaks = [json.loads((folder / f"sweep/{job}/run.json").read_text())["peak_memory"] / 2**20 for job in range(60)]
    first, last = statistics.median(peaks[:10]), statistics.median(peaks[-10:])
    print(f"peak of a job: {first:.0f} MiB in the first 10, {last:.0f} MiB in the last 10 (medians)")
    print(f"peak of the sweep's own process: {int(done.stderr.split()[-1]) / 2**10:.0f} MiB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        {"start": start, "parallel": parallel, "memory": memory}[sys.argv[1]](Path(directory))
