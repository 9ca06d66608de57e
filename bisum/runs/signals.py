"""Ctrl-C and SIGTERM: finish the step, checkpoint, say so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(BaseException):
    """A signal ended the run at a point from which it can be resumed."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@dataclass
class Interrupts:
    """The signal that asked the run to end, if one did."""

    signal: int | None = None
    deferred: bool = False
    """Whether a signal waits for the end of the step (True in training) or ends the run at once."""

    def check(self) -> None:
        """Raise Interrupted if a signal has come; called where work can be cut off."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal; a second one ends the run at once."""
        if self.signal is not None or not self.deferred:
            raise Interrupted(number)
        self.signal = number


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Handle SIGINT and SIGTERM while the block runs; outside the main thread Python allows no handlers."""
    state = Interrupts()
    before = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            before[number] = signal.signal(number, state.receive)
        except ValueError:
            break
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
