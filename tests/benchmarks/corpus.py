"""Measure the reading and tokenization of corpora of several sizes: time, and memory that the system cannot drop.

`PYTHONPATH=tests python -m benchmarks.corpus [DIRECTORY] [--rows N ...]` writes corpora that repeat the sample's rows,
reads each twice (the second time from the cache), tokenizes the smallest beside a bare `encode_batch` of the same
columns, and writes corpus.md, corpus.json and corpus.png.

Every measurement is a process of its own. Its memory is the highest of its anonymous pages (RssAnon in
/proc/self/status): pages of mapped files, such as cached rows, are dropped when memory is needed elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROWS = (40_000, 400_000)
_ROUNDS = 3


def main(arguments: Sequence[str]) -> None:
    """Measure, show and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path("outputs/bench"))
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="sizes of the corpora (default 40000 400000)")
    parser.add_argument("--no-tokens", action="store_true", help="do not tokenize")
    chosen = parser.parse_args(arguments)
    chosen.directory.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"reading": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in sorted(chosen.rows):
            write_corpus(folder / f"{rows}.jsonl", rows)
            for source in ("files", "cache"):
                took = _in_process("read", str(folder / f"{rows}.jsonl"))
                found["reading"].append({"rows": rows, "from": source, **took})
                shown = f"{took['seconds']:.1f} s, {took['peak'] / 2**20:,.0f} MiB"
                print(f"{rows:,} rows from {source}: {shown}", flush=True)
        if not chosen.no_tokens:
            smallest = str(folder / f"{min(chosen.rows)}.jsonl")
            found["tokenization"] = [
                {column: _in_process(column, smallest)["seconds"] for column in ("tokenize", "encode_batch")}
                for _ in range(_ROUNDS)
            ]
    write(chosen.directory, found)


def write_corpus(path: Path, rows: int) -> None:
    """Write a file of rows that repeat the sample's training rows, each with a number of its own in its document."""
    from benchmarks.bench.shapes import sample_rows

    known = sample_rows("train")
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            row = known[number % len(known)]
            first, _, rest = row["document"].partition(" ")
            numbered = {**row, "id": f"row-{number}", "document": f"{first} {number} {rest}"}
            file.write(json.dumps(numbered, ensure_ascii=False) + "\n")
    settled = time.time() - 60
    os.utime(path, (settled, settled))


def work(task: str, path: str) -> dict[str, float]:
    """Do one measurement in this process."""
    return {"read": _read, "tokenize": _tokenize, "encode_batch": _encode_batch}[task](path)


def _corpus(path: str) -> Any:
    from bisum import compose
    from bisum.corpus.corpus import load_corpus

    config = compose(["corpus=files", f"corpus.path={path}", "tracker=none"])
    cache = Path(path).with_suffix("")

    def load() -> Any:
        return load_corpus(config.corpus, config.filter, config.languages, config.seed, cache=cache)

    return config, load


def _read(path: str) -> dict[str, float]:
    _, load = _corpus(path)
    with _Peak() as peak:
        took = _timed(load)
    return {"seconds": took, "peak": peak.bytes}


def _tokenize(path: str) -> dict[str, float]:
    from bisum.batches.tokenization import encode
    from bisum.display.quiet import quiet_libraries
    from bisum.interfaces.progress import no_progress
    from bisum.models.loading import load

    quiet_libraries()
    config, load_rows = _corpus(path)
    corpus, loaded = load_rows(), load(config.model, config.seed, "float32")
    with tempfile.TemporaryDirectory() as cache, _Peak() as peak:
        took = _timed(lambda: encode(corpus, loaded, Path(cache), no_progress, ["train"]))
    return {"seconds": took, "peak": peak.bytes}


def _encode_batch(path: str) -> dict[str, float]:
    from bisum.display.quiet import quiet_libraries
    from bisum.models.loading import load_reader

    quiet_libraries()
    config, load_rows = _corpus(path)
    train, tokenizer = load_rows().splits["train"], load_reader(config.model).tokenizer.backend_tokenizer

    def encode() -> None:
        for name in ("document", "summary"):
            for batch in train[name].chunks:
                for encoding in tokenizer.encode_batch(batch.to_pylist()):
                    encoding.ids  # noqa: B018 - converts the ids

    return {"seconds": _timed(encode), "peak": 0}


def _timed(function: Callable[[], Any]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


class _Peak:
    """The highest number of bytes of this process's anonymous pages during a block, read every 10 ms."""

    bytes = 0

    def __enter__(self) -> _Peak:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            status = Path("/proc/self/status").read_text("utf-8")
            anonymous = next(line for line in status.splitlines() if line.startswith("RssAnon"))
            self.bytes = max(self.bytes, 1024 * int(anonymous.split()[1]))


def _in_process(task: str, path: str) -> dict[str, Any]:
    code = "import json, sys; from benchmarks import corpus; print(json.dumps(corpus.work(*sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, task, path], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{task} {path} failed:\n{done.stderr[-3000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def write(directory: Path, found: dict[str, Any]) -> None:
    """Write the measurements as JSON and Markdown, and the memory as a plot."""
    lines = ["| rows | from | seconds | MiB |", "| --- | --- | --- | --- |"]
    for one in found["reading"]:
        lines.append(f"| {one['rows']:,} | {one['from']} | {one['seconds']:.1f} | {one['peak'] / 2**20:,.0f} |")
    if pairs := found.get("tokenization"):
        ratio = sorted(pair["tokenize"] / pair["encode_batch"] for pair in pairs)[len(pairs) // 2]
        lines += ["", f"tokenization takes {ratio:.2f} times as long as `encode_batch` (median of {len(pairs)})"]
    (directory / "corpus.json").write_text(json.dumps(found, indent=1), "utf-8")
    (directory / "corpus.md").write_text("\n".join([*lines, ""]), "utf-8")
    _plot(directory / "corpus.png", found["reading"])
    print("", *lines, "", f"written: {directory / 'corpus.md'}, corpus.json, corpus.png", sep="\n")


def _plot(path: Path, reading: Sequence[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for source in ("files", "cache"):
        own = [one for one in reading if one["from"] == source]
        rows, peaks = [one["rows"] for one in own], [one["peak"] / 2**20 for one in own]
        axes.plot(rows, peaks, marker="o", label=f"from {source}")
    axes.set(xscale="log", xlabel="rows", ylabel="peak of anonymous memory (MiB)", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1:])
