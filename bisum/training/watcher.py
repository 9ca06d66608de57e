"""Observers of every optimizer step, which `debug` enables."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Watcher:
    """Called around a session's steps; the base class does nothing."""

    def begin(self, step: int, total_steps: int) -> None:
        """Prepare for the steps after `step`, up to `total_steps`."""

    def begin_step(self) -> None:
        """Begin an optimizer step."""

    def end_step(self, step: int, loss: torch.Tensor) -> str | None:  # noqa: ARG002 - does nothing
        """End an optimizer step, and return why training should stop, or None.

        Args:
            step: steps taken, this one included.
            loss: the step's loss, detached, shape ().
        """
        return None

    def pause(self) -> None:
        """Prepare for an evaluation or a checkpoint before the next step."""

    def close(self) -> None:
        """Release all resources when training ends, fails or is interrupted."""


class Watchers(Watcher):
    """Several watchers, called in order; the first reason to stop counts."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def begin(self, step: int, total_steps: int) -> None:
        """See `Watcher.begin`."""
        for watcher in self._watchers:
            watcher.begin(step, total_steps)

    def begin_step(self) -> None:
        """See `Watcher.begin_step`."""
        for watcher in self._watchers:
            watcher.begin_step()

    def end_step(self, step: int, loss: torch.Tensor) -> str | None:
        """See `Watcher.end_step`."""
        reasons = [watcher.end_step(step, loss) for watcher in self._watchers]
        return next(filter(None, reasons), None)

    def pause(self) -> None:
        """See `Watcher.pause`."""
        for watcher in self._watchers:
            watcher.pause()

    def close(self) -> None:
        """See `Watcher.close`."""
        for watcher in self._watchers:
            watcher.close()
