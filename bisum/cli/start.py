"""Start of a command: importing its libraries, which takes seconds."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from bisum.cli.commands import COMMANDS
from bisum.display.console import Console
from bisum.display.terminal import Terminal


def start(command: str, log: str) -> Callable[..., Any]:
    """Import a command's function and show that bisum is starting."""
    status: AbstractContextManager[Any]
    if command == "summarize":  # its standard output is only for summaries
        status = Console(stderr=True, quiet=log == "quiet").status("starting")
    else:
        status = Terminal(bars=log != "quiet").progress("starting")
    with status:
        return import_function(command)


def import_function(command: str) -> Callable[..., Any]:
    """Import a command's function and silence the libraries' warnings."""
    gc.enable()
    logging.captureWarnings(True)
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Threads that spin while waiting make training 10% faster on an idle machine, but four times slower on a busy one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return COMMANDS[command].function()
