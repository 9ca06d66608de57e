"""`bisum summarize`: summaries of texts, files, standard input or rows of a corpus, each as soon as it is ready."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from rich.text import Text

from bisum.config.schema import Config, SummarizeConfig
from bisum.display.console import Console
from bisum.display.screen import LogHandler
from bisum.display.terminal import Terminal
from bisum.errors import Failed, UserError, complain, one_line, reason
from bisum.printing import as_json, clean
from bisum.summarize.document import Document
from bisum.summarize.documents import documents, reads_stdin

logger = logging.getLogger(__name__)

_LABEL = 11
"""Cells of a label with the blanks after it."""
_DOCUMENT_LINES = 3
"""Lines of a document that are shown above its summary."""


def run(config: Config, texts: Sequence[str]) -> None:
    """Write the summaries to standard output, which gets nothing else, in the order of their documents.

    Raises:
        UserError: a document, a row or the model is missing or invalid; the summaries before it are written.
        Failed: anything else went wrong; the traceback is shown with `log=debug`.
        OSError: the output cannot be written, or nobody reads it any longer.
    """
    assert isinstance(config, SummarizeConfig)
    try:
        _summarize(config, texts)
    except (UserError, OSError):
        raise
    except Exception as error:
        if config.log == "debug":
            traceback.print_exc()
        why = reason(error)
        memory = "; a smaller evaluation.batch_size needs less" if "memory" in why.lower() else ""
        how = "" if config.log == "debug" else " (log=debug shows the traceback)"
        raise Failed(f"{why}{memory}{how}") from error


def _summarize(config: SummarizeConfig, texts: Sequence[str]) -> None:
    if sys.stdout is None:
        raise UserError("standard output is closed; summaries are written there")
    with _records_shown(config.log) as beside:
        asked = documents(config, texts)
        if reads_stdin(config, texts) and sys.stdin.isatty():
            logger.info("reading documents from the terminal, one a line; Ctrl-D ends")
        began = time.perf_counter()
        with beside.progress("loading the model"):
            from bisum.summarize.summarizer import Summarizer

            summarizer = Summarizer.from_config(config, beside.progress)
        logger.info(
            "%s, %.1f M parameters; on %s, %s",
            config.model.checkpoint,
            summarizer.loaded.parameters / 1e6,
            summarizer.device.name,
            summarizer.device.precision,
        )
        logger.debug("%.1f s to load it", time.perf_counter() - began)
        if config.language and summarizer.loaded.family.needs_language and config.asks_for_rows:
            complain("language: ignored, because the rows of the corpus state their own")
        # On a terminal the summaries themselves show how far it is.
        counting = Terminal(bars=False) if sys.stdout.isatty() else beside
        with counting.progress("summarizing") as bar:
            for number, (document, summary) in enumerate(summarizer.stream(asked), start=1):
                text = _written(document, summary, document.language or summarizer.language, config)
                sys.stdout.buffer.write(clean(text).encode(errors="backslashreplace"))
                sys.stdout.buffer.flush()
                bar.advance(number, f"{number:,}")
        logger.debug("%.1f s in all", time.perf_counter() - began)


def _written(document: Document, summary: str, language: str | None, config: SummarizeConfig) -> str:
    """Return the lines of one document."""
    if config.format == "jsonl":
        others = {_renamed(key, document.others): value for key, value in document.others.items()}
        known = {"id": document.id, "language": language, **others, "document": document.text}
        reference = {} if document.reference is None else {"reference": document.reference}
        return as_json({**known, **reference, "summary": summary}) + "\n"
    if document.reference is not None and (config.asks_for_rows or sys.stdout.isatty()):
        return _shown(document, summary, language)
    return one_line(summary) + "\n"


def _renamed(key: str, keys: Collection[str]) -> str:
    """Return another key for a `summary` of the input beside a reference, such as another model's: none is lost."""
    if key == "summary":
        while key in keys:
            key = f"input_{key}"
    return key


def _shown(document: Document, summary: str, language: str | None) -> str:
    """Return document, reference and summary above one another; on a terminal they fit it, the document shortened."""
    lines = [one_line(f"{document.id} ({language})" if language else str(document.id))]
    for label, text in (("document", document.text), ("reference", document.reference or ""), ("summary", summary)):
        first, *others = _fitting(one_line(text) or "(empty)", _DOCUMENT_LINES if label == "document" else None)
        lines += [f"{label:<{_LABEL}}{first}", *(" " * _LABEL + line for line in others)]
    return "\n".join([*lines, "", ""])


def _fitting(text: str, most: int | None) -> list[str]:
    """Return a text as the terminal's lines, at most `most`; anywhere else as one line."""
    if not sys.stdout.isatty():
        return [text]
    console = Console()
    width = max(console.width - _LABEL, 20)
    lines = [line.plain.rstrip() for line in Text(text).wrap(console, width)]
    if most is not None and len(lines) > most:
        last = Text(lines[most - 1])
        last.truncate(width - 1)
        lines = [*lines[: most - 1], f"{last.plain}…"]
    return lines


@contextmanager
def _records_shown(log: str) -> Iterator[Terminal]:
    """Show bars and bisum's records on standard error if it is a terminal, with `log=debug` the libraries' too."""
    is_seen = sys.stderr is not None and sys.stderr.isatty() and log != "quiet"
    beside = Terminal(bars=is_seen)
    beside.console = Console(stderr=True)
    root, own = logging.getLogger(), logging.getLogger("bisum")
    levels = {root: root.level, own: own.level}
    handler = LogHandler(lambda _, text: beside.console.print(f"> {text}", soft_wrap=True))
    if log == "debug":
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        own.setLevel(logging.DEBUG)
    elif is_seen:
        own.addHandler(handler)
        own.setLevel(logging.INFO)
    try:
        yield beside
    finally:
        for logger, level in levels.items():
            logger.removeHandler(handler)
            logger.setLevel(level)
