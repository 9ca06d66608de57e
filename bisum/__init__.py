"""Hydra-configured experiments in bilingual abstractive summarization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bisum.commands.train import train
    from bisum.earlier_runs import compose
    from bisum.summarizer import Summarizer

__all__ = ["Summarizer", "compose", "train"]
__version__ = "0.1.0"


def __dir__() -> list[str]:
    """Name what is public before its first use too."""
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    """Import what is public on first use, so that `import bisum` costs nothing."""
    if name == "compose":
        from bisum.earlier_runs import compose

        return compose
    if name == "train":
        from bisum.commands.train import train

        return train
    if name == "Summarizer":
        from bisum.summarizer import Summarizer

        return Summarizer
    raise AttributeError(f"module 'bisum' has no attribute '{name}'")
