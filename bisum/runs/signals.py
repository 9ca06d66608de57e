"""Handling of Ctrl-C, SIGTERM and SIGHUP (a closed terminal): finish the step, save a checkpoint and report."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(BaseException):
    """Interruption of a run by a signal, at a point where it can be resumed later."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclass
class Interrupts:
    """The signal that requested the end of the run, if any."""

    signal: int | None = None
    deferred: bool = False
    """Whether a signal waits for the end of the step (as in training) instead of ending the run at once."""

    def check(self) -> None:
        """Raise Interrupted if a signal has arrived; call this where work can be cut off."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal; a second one ends the run at once."""
        if number == self.signal == signal.SIGHUP:  # a closing terminal can send it twice
            return
        if self.signal is not None or not self.deferred:
            self.signal = number
            raise Interrupted(number)
        self.signal = number


_active: list[Interrupts] = []
"""States of the active `interrupts` blocks in this process, innermost last."""


def stop_once(number: int) -> None:
    """Send a signal to this process, unless its run is already ending because of one."""
    if _active and _active[-1].signal is not None:
        return
    if signal.getsignal(number) == signal.SIG_IGN:  # background jobs of a shell ignore Ctrl-C
        number = signal.SIGTERM
    os.kill(os.getpid(), number)


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Handle SIGINT, SIGTERM and SIGHUP during the block; Python allows handlers only in the main thread.

    SIGHUP stays ignored if it already is, as under nohup.
    """
    state = Interrupts()
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue
        try:
            before[number] = signal.signal(number, state.receive)
        except ValueError:
            break
    _active.append(state)
    try:
        yield state
    finally:
        _active.remove(state)
        for number, handler in before.items():
            signal.signal(number, handler)
