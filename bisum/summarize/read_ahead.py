"""A stream read ahead in a thread, in windows that grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Thread
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
_GRACE = 0.02
"""Seconds that a window, once it has a document, waits for more: a file's are there at once, a person's are not."""


@dataclass(frozen=True)
class _End:
    """The end of what was read, and what went wrong there."""

    error: BaseException | None = None


def windows(items: Iterable[T], first: int, most: int) -> Iterator[list[T]]:
    """Yield the items that are there, at least one: at most `first` of them, then twice as many, up to `most`.

    A thread reads ahead. What reading raises comes after the items before.
    """
    queue: Queue[T | _End] = Queue(2 * most)
    stopped = Event()

    def read() -> None:
        end = _End()
        try:
            for item in items:
                queue.put(item)
                if stopped.is_set():
                    return
        except BaseException as error:  # whatever the caller's own iterator raises
            end = _End(error)
        queue.put(end)

    Thread(target=read, name="read ahead", daemon=True).start()
    size, end = first, None
    try:
        while end is None:
            window: list[T] = []
            until = None
            with suppress(Empty):
                while end is None and len(window) < size:
                    item = queue.get(timeout=until and max(0.0, until - monotonic()))
                    if isinstance(item, _End):
                        end = item
                    else:
                        window.append(item)
                        until = until or monotonic() + _GRACE
            if window:
                yield window
            size = min(2 * size, most)
        if end.error is not None:
            raise end.error
    finally:
        stopped.set()
        with suppress(Empty):  # so that the thread, if it waits for room, ends
            while True:
                queue.get_nowait()
