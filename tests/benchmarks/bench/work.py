"""One measurement: the work, and what it took."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path

BATCH = 8
"""Rows of a training batch, as in the course."""
DOCUMENT_TOKENS, SUMMARY_TOKENS = 512, 30
"""Limits of the texts, as in the course."""


@dataclass(frozen=True)
class Work:
    """What a column does in one process."""

    task: str
    """train, evaluate or summarize."""
    model: str
    """Folder of the model."""
    folder: Path
    """Empty folder for what the column writes."""
    rows: int
    """Number of rows: to train on, of the validation split to evaluate on, or of the training split to summarize."""
    beams: int = 1
    trims: bool = False
    """Whether a training trims the vocabulary."""


@dataclass
class Took:
    """What the work took."""

    seconds: float
    """Time of the work alone, without imports and loading the model."""
    rows: int
    checkpoint: int | None = None
    """Bytes of the saved model: weights, configuration and tokenizer."""
    texts: list[str] = field(default_factory=list)
    """The summaries, in the order of the rows."""
    peak: int = 0
    """Highest resident memory of the process in bytes, imports and loading included."""


def peak_memory() -> int:
    """Return the highest resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def size_of(folder: Path) -> int:
    """Return the bytes of a model's files, without those of the optimizer and the trainer."""
    of_training = ("optimizer", "trainer", "training", "scheduler", "rng_state", "manifest")
    return sum(path.stat().st_size for path in folder.iterdir() if not path.name.startswith(of_training))
