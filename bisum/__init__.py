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

_MODULES = {
    "Summarizer": "bisum.summarize.summarizer",
    "compare": "bisum.comparison.comparing",
    "compose": "bisum.config.jobs",
    "train": "bisum.commands.train",
}


def __dir__() -> list[str]:
    """Include the public names that are not imported yet."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import bisum` is fast."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'bisum' has no attribute '{name}'")
