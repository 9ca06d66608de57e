"""The commands by name: summary, arguments and implementing module."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Command:
    """A command."""

    module: str
    summary: str
    synopsis: str = "[group=option ...] [key=value ...] [-m]"
    """The arguments that can follow it."""
    operands: str = ""
    """Meaning of an argument without an equals sign: runs, or runs and files."""
    composes: bool = True
    """Whether Hydra composes its configuration; if not, it has only a few settings of its own."""

    def function(self) -> Callable[..., Any]:
        """Import and return the command's function."""
        function: Callable[..., Any] = importlib.import_module(self.module).run
        return function


COMMANDS = {
    "train": Command("bisum.commands.train", "fine-tune, evaluate each epoch, score the test split once at the end"),
    "baseline": Command("bisum.commands.baseline", "score lead-k, the first k sentences of each document; no training"),
    "explore": Command(
        "bisum.commands.explore", "show samples, categories, lengths, repeats and dropped rows of a corpus; draw plots"
    ),
    "evaluate": Command(
        "bisum.commands.evaluate",
        "score the starter, any model, or the best checkpoint of one or more runs on a split",
        "[RUN ...] [group=option ...] [key=value ...] [-m]",
        "runs",
    ),
    "summarize": Command(
        "bisum.commands.summarize",
        "summarize texts, files, standard input or rows of a corpus to standard output",
        "[RUN] [FILE ...] [key=value ...] [-- TEXT ...]",
        "runs and files",
    ),
    "compare": Command(
        "bisum.commands.compare",
        "rank runs and report how much they differ, where, and whether the differences are significant",
        "RUN-or-FOLDER ... [key=value ...]",
        "runs",
        composes=False,
    ),
    "push": Command(
        "bisum.commands.push",
        "upload a run's best model to the Hugging Face hub, with a card written from its record",
        "RUN [key=value ...]",
        "runs",
        composes=False,
    ),
}
