"""Measure bisum beside the course's recipe and the least code for the same arithmetic: `make bench`.

Each measurement is a process of its own. The columns alternate within each round, and a ratio is the median over the
rounds of the ratios within one, so a machine that slows down for a while affects all columns alike. The table and all
measurements go to DIRECTORY as Markdown and JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.bench import reading, start_up
from benchmarks.bench.start_up import STARTS, Start
from benchmarks.bench.work import Took, Work, peak_memory

from bisum.config.model_source import located

COLUMNS = ["bisum", "recipe", "floor"]
_MODULES = {"bisum": "ours", "recipe": "recipe", "floor": "floor"}


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    title: str
    task: str
    model: str
    """starter, or the name of a shape."""
    rows: int
    beams: int = 1
    trims: bool = False
    """Whether bisum and the floor work with the vocabulary trimmed to the sample."""


ROWS = [
    Row("train, starter", "train", "starter", 800),
    Row("train, mT5-small's shape, trimmed", "train", "mt5_small", 96, trims=True),
    Row("evaluate with scores, starter, greedy", "evaluate", "starter", 372),
    Row("evaluate with scores, starter, 4 beams", "evaluate", "starter", 372, beams=4),
    Row("evaluate with scores, mT5-small's shape, trimmed, greedy", "evaluate", "mt5_small", 48, trims=True),
    Row("evaluate with scores, mT5-small's shape, trimmed, 4 beams", "evaluate", "mt5_small", 48, beams=4, trims=True),
    Row("summarize, starter", "summarize", "starter", 1000),
]
QUICK = [
    Row("train, tiny, trimmed", "train", "tiny", 16, trims=True),
    Row("evaluate with scores, tiny, trimmed", "evaluate", "tiny", 8, trims=True),
    Row("summarize, tiny", "summarize", "tiny", 8),
]


def main(arguments: Sequence[str]) -> None:
    """Measure, show and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path("outputs/bench"))
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each cell (default 3)")
    parser.add_argument("--only", default="", help="only the rows whose title contains this text")
    parser.add_argument("--quick", action="store_true", help="one round with a tiny model, to check that it runs")
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, not {chosen.rounds}")
    if chosen.directory.exists() and not chosen.directory.is_dir():
        parser.error(f"'{chosen.directory}' is a file, not a directory")
    rounds = 1 if chosen.quick else chosen.rounds
    rows = [row for row in (QUICK if chosen.quick else ROWS) if chosen.only in row.title]
    starts = [start for start in STARTS if chosen.only in start.title]
    reads = chosen.only in reading.TITLE
    if not rows and not starts and not reads:
        parser.error(f"--only: no row's title contains '{chosen.only}'")
    chosen.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as models:
        folders = write_models({row.model for row in rows if row.model != "starter"}, Path(models))
        measured = [measure_row(row, folders, rounds) for row in rows]
    started = [(start, measure_start(start, rounds)) for start in starts]
    read = reading.measure(reading.QUICK_ROWS if chosen.quick else reading.ROWS, rounds) if reads else None
    write(chosen.directory, list(zip(rows, measured, strict=True)), started, read, rounds)


def write_models(names: set[str], directory: Path) -> dict[str, str]:
    """Write the models of random weights, whole and trimmed to the sample; return their folders by name."""
    folders = {"starter": located("pkg://bisum.assets.starter")}
    for name in sorted(names):
        whole, trimmed = directory / name, directory / f"{name}-trimmed"
        print(f"writing {name}, whole and trimmed to the sample", flush=True)
        code = "from benchmarks.bench import shapes; shapes.write(*__import__('sys').argv[1:])"
        subprocess.run([sys.executable, "-c", code, name, str(whole), str(trimmed)], check=True)
        folders |= {name: str(whole), f"{name}-trimmed": str(trimmed)}
    return folders


def measure_row(row: Row, folders: dict[str, str], rounds: int) -> dict[str, list[Took]]:
    """Return each column's measurements of a row, one a round."""
    measured: dict[str, list[Took]] = {column: [] for column in COLUMNS}
    for number in range(rounds):
        for column in COLUMNS[number % 3 :] + COLUMNS[: number % 3]:
            trimmed = "-trimmed" if starts_trimmed(row, column) else ""
            took = measure(column, row, folders[f"{row.model}{trimmed}"])
            measured[column].append(took)
            speed, memory = took.rows / took.seconds, took.peak / 2**30
            print(f"{row.title}: {column} {speed:.1f} rows/s, {memory:.2f} GiB", flush=True)
    return measured


def starts_trimmed(row: Row, column: str) -> bool:
    """Return whether a column gets the trimmed model; bisum's training trims the whole one itself."""
    return row.trims and (column == "floor" or (column == "bisum" and row.task == "evaluate"))


def measure(column: str, row: Row, model: str) -> Took:
    """Return what the work takes in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        work = Work(row.task, model, Path(folder), row.rows, row.beams, row.trims)
        given = json.dumps({**asdict(work), "folder": folder})
        command = [sys.executable, "-m", "benchmarks.bench", "--worker", column, given]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{column} failed on '{row.title}':\n{done.stderr[-3000:]}")
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def work_in_process(column: str, given: str) -> None:
    """Do the work and print what it took; the work itself prints to stderr."""
    values = json.loads(given)
    output = os.dup(1)
    os.dup2(2, 1)
    took = import_module(f"benchmarks.bench.{_MODULES[column]}").run(
        Work(**{**values, "folder": Path(values["folder"])})
    )
    took.peak = peak_memory()
    os.write(output, json.dumps(asdict(took)).encode() + b"\n")


def measure_start(start: Start, rounds: int) -> list[tuple[float, float]]:
    """Return the measurements of a start, and show them."""
    pairs = start_up.measure(start, rounds)
    print(
        f"{start.title}: {', '.join(f'{ours:.2f} s, imports {imports:.2f} s' for ours, imports in pairs)}", flush=True
    )
    return pairs


def write(
    directory: Path,
    measured: Sequence[tuple[Row, dict[str, list[Took]]]],
    started: Sequence[tuple[Start, list[tuple[float, float]]]],
    read: dict[str, Any] | None,
    rounds: int,
) -> None:
    """Write the measurements as JSON, and the tables of medians as Markdown, which are also shown."""
    machine = describe_machine()
    found = [{**asdict(row), **{name: [asdict(took) for took in of[name]] for name in COLUMNS}} for row, of in measured]
    starts = [{"title": start.title, "seconds": pairs} for start, pairs in started]
    content = {"machine": machine, "rows": found, "starts": starts, "reading": read}
    (directory / "bench.json").write_text(json.dumps(content, indent=1), "utf-8")
    lines = [
        f"{machine}; median of {rounds}",
        "",
        "| what | bisum rows/s | recipe | floor | speed/recipe | time/floor | RAM/recipe | disk/recipe | equal texts |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(table_line(row, of) for row, of in measured),
        "",
        *start_up.table(started),
        "",
        *(reading.table(read) if read else []),
    ]
    if read:
        reading.plot(directory / "reading.png", read)
    (directory / "bench.md").write_text("\n".join([*lines, ""]), "utf-8")
    print("", *lines, "", f"written: {directory / 'bench.md'}, bench.json", sep="\n")


def table_line(row: Row, measured: dict[str, list[Took]]) -> str:
    """Return a row of the table; speeds are in rows per second."""
    ours, recipe, floor = (measured[column] for column in COLUMNS)
    speeds = [f"{statistics.median(took.rows / took.seconds for took in of):.1f}" for of in (ours, recipe, floor)]

    def pace(took: Took) -> float:
        return took.seconds / took.rows

    faster = median_ratio([pace(took) for took in recipe], [pace(took) for took in ours])
    slower = median_ratio([pace(took) for took in ours], [pace(took) for took in floor])
    memory = median_ratio([took.peak for took in ours], [took.peak for took in recipe])
    sizes = [(mine.checkpoint, theirs.checkpoint) for mine, theirs in zip(ours, recipe, strict=True)]
    disk = f"{sizes[0][0] / sizes[0][1]:.2f}" if sizes[0][0] and sizes[0][1] else ""
    pairs = list(zip(ours[0].texts, recipe[0].texts, strict=True))
    same = f"{sum(a == b for a, b in pairs)} of {len(pairs)}" if pairs else ""
    return f"| {row.title} | {' | '.join(speeds)} | {faster:.2f} | {slower:.2f} | {memory:.2f} | {disk} | {same} |"


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def describe_machine() -> str:
    """Return the processor, the number of cores and the versions of the libraries."""
    from importlib.metadata import version

    cpu = next((line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")), "CPU")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "ctranslate2"))
    return f"{cpu}, {os.cpu_count()} cores, {libraries}"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text("utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work_in_process(*sys.argv[2:])
    else:
        main(sys.argv[1:])
