"""Read-ahead of a stream in a thread, in windows of growing size."""

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
"""Seconds to wait for more items once a window has one: a file delivers them at once, a person does not."""


@dataclass(frozen=True)
class _End:
    """The end of the stream, with the error that caused it, if any."""

    error: BaseException | None = None


def windows(items: Iterable[T], first: int, most: int) -> Iterator[list[T]]:
    """Yield the available items, at least one at a time: first up to `first`, then twice as many, up to `most`.

    A thread reads ahead. An error while reading is raised after the items that precede it.
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
        with suppress(Empty):  # make room for a blocked thread to end
            while True:
                queue.get_nowait()
