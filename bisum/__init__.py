"""Hydra-configured experiments in bilingual abstractive summarization."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bisum.version import __version__

if TYPE_CHECKING:
    from bisum.commands.train import train
    from bisum.comparison.comparing import compare
    from bisum.config.jobs import compose
    from bisum.summarize.summarizer import Summarizer

__all__ = ["Summarizer", "__version__", "compare", "compose", "train"]

_HOMES = {
    "Summarizer": "bisum.summarize.summarizer",
    "compare": "bisum.comparison.comparing",
    "compose": "bisum.config.jobs",
    "train": "bisum.commands.train",
}


def __dir__() -> list[str]:
    """Name what is public before its first use too."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import what is public on first use, so that `import bisum` costs nothing."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bisum' has no attribute '{name}'")
