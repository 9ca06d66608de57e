"""The reading and tokenization of corpora of several sizes: time, and memory that the system cannot drop.

Corpora repeat the sample's rows. Each is read twice, the second time from the cache. The smallest is also tokenized,
beside a bare `encode_batch` of the same columns.

Every measurement is a process of its own. Its memory is the highest of its anonymous pages (RssAnon in
/proc/self/status): pages of mapped files, such as cached rows, are dropped when memory is needed elsewhere.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.shapes import sample_rows

TITLE = "read and tokenize a corpus"
ROWS, QUICK_ROWS = (40_000, 400_000, 4_000_000), (400,)


def measure(sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Return the measurements of corpora of these numbers of rows, and show them."""
    readings: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = {rows: Path(folder, f"{rows}.jsonl") for rows in sorted(sizes)}
        for rows, path in paths.items():
            write_corpus(path, rows)
            for source in ("files", "cache"):
                took = _in_process("read", path)
                readings.append({"rows": rows, "from": source, **took})
                print(f"{rows:,} rows from {source}: {took['seconds']:.1f} s, {_mib(took['peak'])} MiB", flush=True)
        smallest = paths[min(paths)]
        pairs = [
            [_in_process(task, smallest)["seconds"] for task in ("tokenize", "encode_batch")] for _ in range(rounds)
        ]
    for ours, bare in pairs:
        print(f"tokenization: {ours:.1f} s, encode_batch {bare:.1f} s", flush=True)
    return {"readings": readings, "tokenization": pairs}


def table(found: dict[str, Any]) -> list[str]:
    """Return the lines of Markdown that show the measurements."""
    ratio = statistics.median(ours / bare for ours, bare in found["tokenization"])
    return [
        "| rows | read from | seconds | MiB |",
        "| --- | --- | --- | --- |",
        *(
            f"| {one['rows']:,} | {one['from']} | {one['seconds']:.1f} | {_mib(one['peak'])} |"
            for one in found["readings"]
        ),
        "",
        f"tokenization takes {ratio:.2f} times as long as `encode_batch`",
    ]


def plot(path: Path, found: dict[str, Any]) -> None:
    """Draw the memory by the number of rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for source in ("files", "cache"):
        own = [one for one in found["readings"] if one["from"] == source]
        rows, peaks = [one["rows"] for one in own], [one["peak"] / 2**20 for one in own]
        axes.plot(rows, peaks, marker="o", label=f"from {source}")
    axes.set(xscale="log", xlabel="rows", ylabel="peak of anonymous memory (MiB)", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=150)


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f}"


def write_corpus(path: Path, rows: int) -> None:
    """Write a file of rows that repeat the sample's training rows, each with a number of its own in its document."""
    known = sample_rows("train")
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            row = known[number * 1009 % len(known)]  # mixes the languages
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
    from bisum.display.quiet import libraries_for, quiet_libraries
    from bisum.interfaces.progress import no_progress
    from bisum.models.loading import load

    config, load_rows = _corpus(path)
    quiet_libraries(libraries_for(config.corpus))
    corpus, loaded = load_rows(), load(config.model, config.seed, "float32")
    with tempfile.TemporaryDirectory() as cache, _Peak() as peak:
        took = _timed(lambda: encode(corpus, loaded, Path(cache), no_progress, ["train"]))
    return {"seconds": took, "peak": peak.bytes}


def _encode_batch(path: str) -> dict[str, float]:
    from bisum.display.quiet import libraries_for, quiet_libraries
    from bisum.models.loading import load_reader

    config, load_rows = _corpus(path)
    quiet_libraries(libraries_for(config.corpus))
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


def _in_process(task: str, path: Path) -> dict[str, Any]:
    code = "import json, sys; from benchmarks.bench import reading; print(json.dumps(reading.work(*sys.argv[1:])))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [sys.executable, "-c", code, task, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{task} {path} failed:\n{done.stderr[-3000:]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured
