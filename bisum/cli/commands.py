"""The commands by name: what each does, its arguments, and the module that implements it."""

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
    """What may follow it."""
    takes: str = ""
    """What an argument without an equals sign names: a run, or a run or a file."""
    composes: bool = True
    """Whether Hydra composes its configuration; if not, its settings are few and stand alone."""

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
        "score the starter, a run's best checkpoint or any model on a split; several, one after the other",
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
        "say which runs are better, by how much, whether the differences are real, and where",
        "RUN-or-FOLDER ... [key=value ...]",
        "runs",
        composes=False,
    ),
}
