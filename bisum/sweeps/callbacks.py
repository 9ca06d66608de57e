"""The callbacks of `hydra.callbacks`, called at the points where Hydra calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from bisum.config.hydra_safety import plain_node
from bisum.errors import UserError, complain, one_line, reason


class Callbacks:
    """The callbacks configured in `hydra.callbacks`; a failure in one is reported and otherwise ignored.

    Raises:
        UserError: a callback rejects its settings.
    """

    def __init__(self, composed: DictConfig) -> None:
        self._callbacks = []
        for name, node in (plain_node(composed.hydra, "callbacks") or {}).items():
            try:
                self._callbacks.append(instantiate(node))
            except Exception as error:  # a user's class can raise anything
                raise UserError(f"hydra.callbacks.{name}: {one_line(error.__cause__ or error)}") from error

    def __getattr__(self, event: str) -> Callable[..., None]:
        """Return a function that notifies all callbacks of an event, such as `on_job_start`."""

        def notify(**arguments: Any) -> None:
            ordered = reversed(self._callbacks) if event.endswith("_end") else self._callbacks
            for callback in ordered:
                try:
                    getattr(callback, event)(**arguments)
                except Exception as error:
                    complain(f"hydra.callbacks: {type(callback).__name__}.{event} failed: {reason(error)}")

        return notify
