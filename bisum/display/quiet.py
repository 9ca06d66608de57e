"""Redirection of the libraries' messages and suppression of their progress bars."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Sequence


def quiet_libraries(names: Sequence[str] = ("transformers", "huggingface_hub", "datasets")) -> None:
    """Send the libraries' messages to Python's logging, which the run's screen shows, and disable their progress bars.

    Each library is imported first, because importing it sets up its own logging.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in names:
        library = importlib.import_module(name)
        logger = logging.getLogger(name)
        logger.handlers.clear()  # each library's own handler prints to the terminal
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        if name == "transformers":
            library.utils.logging.disable_progress_bar()
        elif name == "datasets":
            library.disable_progress_bars()
