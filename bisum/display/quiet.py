"""Redirection of library messages and suppression of their progress bars."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile

from bisum.corpus.files import Files
from bisum.corpus.marc import Marc
from bisum.corpus.sample import Sample
from bisum.interfaces.source import Source


def libraries_for(corpus: Source) -> list[str]:
    """Return the libraries that a command uses; a corpus of bisum's own files does without datasets, a slow import."""
    usual = ["transformers", "huggingface_hub"]
    return usual if type(corpus) in (Sample, Files, Marc) else [*usual, "datasets"]


def quiet_libraries(names: Sequence[str]) -> None:
    """Route library messages to Python's logging, which the run's screen handles, and disable progress bars.

    Each library is imported first, because its import sets up its own logging.
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


@contextmanager
def captured_stderr(report: Callable[[str], None]) -> Iterator[None]:
    """Pass each line that the block writes to standard error, including from compiled code, to `report`."""
    sys.stderr.flush()
    try:
        own = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    with TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(own, 2)
            os.close(own)
            file.seek(0)
            for line in file.read().decode(errors="replace").splitlines():
                report(line)
