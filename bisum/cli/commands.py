"""The commands by name: summary, arguments and implementing module."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bisum.errors import UserError


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
        """Import and return the command's function.

        Raises:
            UserError: a library that is imported refuses a variable of the environment.
        """
        try:
            function: Callable[..., Any] = importlib.import_module(self.module).run
        except (OSError, ValueError) as error:
            refused = [name for name, value in os.environ.items() if len(value) > 1 and value in str(error)]
            if not refused:
                raise
            name = max(refused, key=lambda name: len(os.environ[name]))  # a shorter value can be a folder above
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{name}: a library cannot be imported: {reason}; correct this variable of the environment, or unset it"
            ) from error
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
