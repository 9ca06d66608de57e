"""The libraries' own messages and bars, sent where bisum shows them or switched off."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Sequence


def quiet_libraries(names: Sequence[str] = ("transformers", "huggingface_hub", "datasets")) -> None:
    """Send the libraries' messages to Python's logging, which the run's screen shows, and switch off their bars.

    Each is imported, since it sets up its own logging then.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in names:
        library = importlib.import_module(name)
        logger = logging.getLogger(name)
        logger.handlers.clear()  # each prints to the terminal by a handler of its own
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
        if name == "transformers":
            library.utils.logging.disable_progress_bar()
        elif name == "datasets":
            library.disable_progress_bars()
