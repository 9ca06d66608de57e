"""The tracker's process, started by `bisum.trackers.client`.

Each message is a JSON line on standard input: [method, arguments] for the `TrackedRun`. The first message contains the
tracker's configuration node and the `RunFacts` instead. Reports to the run are JSON lines on standard output. If the
input ends without a `finish`, the run has crashed.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, TextIO

from bisum.config.checking import build
from bisum.errors import reason
from bisum.interfaces.tracker import LOG, RunFacts, TrackedRun, Tracker

GRACE_SECONDS = 5.0
"""Seconds until this process kills itself after the run stops waiting for it."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """The validated part of the first message."""

    tracker: Tracker


class Reporter:
    """Sender of reports to the run: facts and the first warning (`tracker.log` has all warnings)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._warned = False

    def send(self, report: Mapping[str, str]) -> None:
        """Send facts, which may include a warning."""
        self._warned = self._warned or "warning" in report
        print(json.dumps(dict(report)), file=self._stream, flush=True)

    def report_failure(self, method: str, error: BaseException) -> None:
        """Log a traceback, and send a warning if it is the first."""
        traceback.print_exc()
        if not self._warned:
            self.send({"warning": f"{method} failed: {reason(error)} (see {LOG})"})


def main() -> None:
    """Track a run until its messages end."""
    # Libraries that print or prompt must not interfere with the messages.
    messages, reporter = os.fdopen(os.dup(0)), Reporter(os.fdopen(os.dup(1), "w"))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    fcntl.flock(2, fcntl.LOCK_EX)  # on tracker.log: wait for the tracker of the run before a resume to end
    inbox: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_receive, args=(messages, inbox), daemon=True).start()
    first = inbox.get()
    if first is None:
        return
    try:
        tracked = build(Start, {"tracker": first["tracker"]}).tracker.start(RunFacts(**first["run"]))
        reporter.send(dict(tracked.report))
    except BaseException as error:  # a tracker can also fail with SystemExit
        reporter.report_failure("start", error)
        return
    _follow(tracked, inbox, reporter)


def _follow(tracked: TrackedRun, inbox: SimpleQueue[Any], reporter: Reporter) -> None:
    for method, arguments in iter(inbox.get, None):
        try:
            getattr(tracked, method)(**arguments)
        except BaseException as error:
            reporter.report_failure(method, error)
        if method == "finish":  # other children of the run can keep the input open
            return
    tracked.finish("crashed")


def _receive(messages: TextIO, inbox: SimpleQueue[Any]) -> None:
    """Read messages; when they end, kill this process after a grace period, even if it is blocked."""
    seconds = 0.0
    for line in messages:
        message = json.loads(line)
        if isinstance(message, dict):
            seconds = message["tracker"]["finish_seconds"]
        inbox.put(message)
    inbox.put(None)
    time.sleep(seconds + GRACE_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
