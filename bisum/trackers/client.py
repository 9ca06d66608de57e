"""The run's client for its tracker: sends everything to a separate process without waiting.

A tracker that fails, hangs or returns garbage costs one warning and, at the end, up to `tracker.finish_seconds`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import chain, islice, zip_longest
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

from bisum.config.provenance import Provenance
from bisum.display.screen import Screen
from bisum.interfaces.tracker import LOG, RunFacts, Tracker
from bisum.runs.checkpoints import checkpoints_in
from bisum.runs.files import replace_file
from bisum.runs.metrics import read_metrics
from bisum.runs.processes import child_environment
from bisum.runs.signals import Interrupted
from bisum.trackers.run_name import run_name, system_name

EXTRAS = "tracked.jsonl"
"""File of the tables and histograms sent to the tracker, by line number in `metrics.jsonl`."""

Histograms = Mapping[str, Mapping[str, Sequence[float]]]


class Tracking:
    """The connection of a run to its tracker."""

    def __init__(
        self, tracker: Tracker, provenance: Provenance, directory: Path, record: dict[str, Any], screen: Screen
    ) -> None:
        """Start the tracker's process.

        Args:
            tracker: the tracker's settings.
            provenance: the origin of the run's configuration.
            directory: the run directory.
            record: the content of `run.json`, whose `tracker` entry is kept up to date.
            screen: shows warnings and links.

        Raises:
            OSError: the process or a file cannot be created.
        """
        lines = read_metrics(directory)
        facts = _facts(tracker, provenance, directory, record, len(lines))
        self._tracker = tracker
        self._directory = directory
        self._record = record
        self._screen = screen
        record["tracker"] = {"id": facts.id, "name": facts.name, "system": facts.system, "group": facts.group}
        self._lines = 0
        self._warned = False
        self._baseline: dict[str, float] = {}
        self._tables: dict[str, list[Mapping[str, Any]]] = {}
        self._outbox: SimpleQueue[str | None] = SimpleQueue()
        self._inbox: SimpleQueue[dict[str, str]] = SimpleQueue()
        with (self._directory / LOG).open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bisum.trackers.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=child_environment(),
                text=True,
                start_new_session=True,  # Ctrl-C must reach only the run, which reports its status
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._reader = Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        Thread(target=self._write, args=(self._process.stdin,), daemon=True).start()
        self._outbox.put(json.dumps({"tracker": provenance.resolved["tracker"], "run": asdict(facts)}))
        self._replay(lines)

    def _replay(self, kept: Sequence[Mapping[str, Any]]) -> None:
        """Send the lines that a resumed run keeps, with their tables and histograms."""
        path = self._directory / EXTRAS
        extras: dict[int, dict[str, Any]] = {}
        for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            with suppress(ValueError):  # a crash may have truncated the last line
                extra = json.loads(text)
                if extra["line"] < len(kept):
                    extras[extra.pop("line")] = extra
        replace_file(path, (json.dumps({"line": number, **extra}) for number, extra in extras.items()))
        for number, line in enumerate(kept):
            self._forward(line, **extras.get(number, {"tables": {}, "histograms": {}}))

    def log(self, line: Mapping[str, Any], histograms: Histograms) -> None:
        """Send a line of `metrics.jsonl`, with the tables set since the previous line."""
        tables, self._tables = self._tables, {}
        if tables or histograms:
            with (self._directory / EXTRAS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"line": self._lines, "tables": tables, "histograms": histograms}) + "\n")
        self._forward(line, tables, histograms)
        self._receive()

    def _forward(self, line: Mapping[str, Any], tables: Mapping[str, Any], histograms: Histograms) -> None:
        metrics = {name: value for name, value in line.items() if value is not None}
        self._baseline |= {name: value for name, value in metrics.items() if name.startswith("baseline/")}
        if "eval/loss" in metrics:
            metrics |= self._baseline
        self._send("log", number=self._lines, metrics=metrics, tables=tables, histograms=histograms)
        self._lines += 1

    def predictions(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Queue a table of rows from `predictions/<name>.jsonl`, to be sent with the next line."""
        split, _, system = name.partition("-")
        key = f"predictions/{split}" if system.startswith("epoch") else f"predictions/{split}_{system}"
        if self._tracker.table_rows:
            self._tables[key] = sample(rows, self._tracker.table_rows)

    def image(self, name: str, path: Path) -> None:
        """Send a PNG file."""
        self._send("image", name=name, path=str(path.absolute()))

    def summarize(self) -> None:
        """Send the values that describe the whole run: see `TrackedRun.summarize`."""
        best = {f"best/{name}": value for name, value in self._record.get("best", {}).items()}
        test = self._record.get("test", {})
        differences = {name: value for name, value in test.items() if name.startswith("difference/")}
        self._send("summarize", values={"status": self._record["status"], **best, **differences})

    def end(self) -> None:
        """Send the run's final status and the requested checkpoints."""
        self.summarize()
        status, best = self._record["status"], self._record.get("test", {}).get("checkpoint")
        for folder in checkpoints_in(self._directory / "checkpoints") if status == "finished" else []:
            if self._tracker.checkpoints == "all" or (self._tracker.checkpoints == "best" and folder.name == best):
                aliases = [folder.name, "best"] if folder.name == best else [folder.name]
                self._send("checkpoint", path=str(folder.absolute()), aliases=aliases)
        self._send("finish", status=status)

    def close(self) -> None:
        """Wait up to `finish_seconds` for the process to end, then show where to view the run.

        Ctrl-C ends the wait and kills the process.
        """
        self._outbox.put(None)
        began = time.perf_counter()
        try:
            with self._screen.progress("finishing the tracker"):
                self._process.wait(self._tracker.finish_seconds)
        except (subprocess.TimeoutExpired, Interrupted, KeyboardInterrupt):
            seconds = time.perf_counter() - began
            self._inbox.put({"warning": f"still busy {seconds:.0f} s after the run; stopped (see {LOG})"})
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join()
        self._receive()
        if view := self._record["tracker"].get("view"):
            self._screen.lines(f"> {view}")

    def _receive(self) -> None:
        """Store the tracker's reports and show new ones, with only the first warning."""
        with suppress(Empty):
            while True:
                report = self._inbox.get_nowait()
                if (warning := report.pop("warning", None)) and not self._warned:
                    self._screen.warn(f"tracker: {warning}")
                    self._warned = True
                if "url" in report:
                    self._screen.note(f"tracked at {report['url']}")
                self._record["tracker"] |= report

    def _send(self, method: str, **arguments: Any) -> None:
        self._outbox.put(json.dumps([method, arguments]))

    def _write(self, stream: IO[str]) -> None:
        with suppress(OSError), stream:  # the process may have ended
            for message in iter(self._outbox.get, None):
                stream.write(f"{message}\n")
                stream.flush()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._inbox.put(json.loads(line))
        if (code := self._process.wait()) != 0:
            self._inbox.put({"warning": f"the process exited with code {code} (see {LOG})"})


def sample(rows: Iterable[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """Return at most `count` rows, alternating between languages, ordered by a hash of their ids.

    Runs on the same split get the same rows, and runs on parts of it get overlapping rows.
    """
    languages: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest()):
        languages[row["language"]].append(row)
    turns = chain.from_iterable(zip_longest(*(languages[code] for code in sorted(languages))))
    return list(islice((row for row in turns if row is not None), count))


def _facts(tracker: Tracker, provenance: Provenance, directory: Path, record: Mapping[str, Any], kept: int) -> RunFacts:
    earlier = record.get("tracker") or {}
    return RunFacts(
        directory=str(directory.absolute()),
        id=earlier.get("id") or re.sub(r"[^\w-]", "-", f"{directory.absolute().name[-40:]}-{secrets.token_hex(4)}"),
        name=tracker.name or earlier.get("name") or run_name(provenance),
        system=earlier.get("system") or system_name(provenance),
        profile=record.get("profile", "rouge"),
        group=tracker.group or earlier.get("group") or provenance.sweep,
        tags=tracker.tags,
        job=provenance.command,
        config={**provenance.recorded.config, "choices": record["choices"]},
        commit=record["commit"],
        process=os.getpid(),
        resumed=bool(earlier),
        kept=kept,
    )
