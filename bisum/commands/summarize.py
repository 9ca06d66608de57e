"""`bisum summarize`: summarize texts, files, standard input or rows of a corpus, one by one."""

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

_LABEL_WIDTH = 11
"""Width of a label, including the blanks after it."""
_MAX_DOCUMENT_LINES = 3
"""Lines of a document shown above its summary."""


def run(config: Config, texts: Sequence[str]) -> None:
    """Write the summaries, and nothing else, to standard output in the order of the documents.

    Raises:
        UserError: a document, a row or the model is missing or invalid; earlier summaries are written.
        Failed: any other error; `log=debug` shows the traceback.
        OSError: the output cannot be written, or its pipe is closed.
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
        memory = "; try a smaller evaluation.batch_size" if "memory" in why.lower() else ""
        how = "" if config.log == "debug" else " (log=debug shows the traceback)"
        raise Failed(f"{why}{memory}{how}") from error


def _summarize(config: SummarizeConfig, texts: Sequence[str]) -> None:
    if sys.stdout is None:
        raise UserError("standard output is closed; redirect it to a file or pipe")
    with _show_log(config.log) as stderr:
        inputs = documents(config, texts)
        if reads_stdin(config, texts) and sys.stdin.isatty():
            logger.info("reading documents from the terminal, one per line; press Ctrl-D to end")
        began = time.perf_counter()
        with stderr.progress("loading the model"):
            from bisum.summarize.summarizer import Summarizer

            summarizer = Summarizer.from_config(config, stderr.progress)
        logger.info(
            "%s, %.1f M parameters; on %s, %s",
            config.model.checkpoint,
            summarizer.model.parameters / 1e6,
            summarizer.model.device,
            summarizer.model.precision,
        )
        if (loaded := summarizer.model.loaded) is not None and loaded.base is not None and loaded.base.doubt:
            complain(loaded.base.doubt)
        logger.debug("loaded in %.1f s", time.perf_counter() - began)
        if config.language and summarizer.model.reader.family.needs_language and config.selects_rows:
            complain("language: ignored; each row of the corpus has its own")
        # On a terminal, the summaries themselves show the progress.
        counter = Terminal(bars=False) if sys.stdout.isatty() else stderr
        with counter.progress("summarizing") as bar:
            for number, (document, summary) in enumerate(summarizer.stream(inputs), start=1):
                text = _format_output(document, summary, document.language or summarizer.language, config)
                sys.stdout.buffer.write(clean(text).encode(errors="backslashreplace"))
                sys.stdout.buffer.flush()
                bar.advance(number, f"{number:,}")
        logger.debug("%.1f s in total", time.perf_counter() - began)


def _format_output(document: Document, summary: str, language: str | None, config: SummarizeConfig) -> str:
    """Return the output for one document."""
    if config.format == "jsonl":
        others = {_rename_key(key, document.others): value for key, value in document.others.items()}
        known = {"id": document.id, "language": language, **others, "document": document.text}
        reference = {} if document.reference is None else {"reference": document.reference}
        return as_json({**known, **reference, "summary": summary}) + "\n"
    if document.reference is not None and (config.selects_rows or sys.stdout.isatty()):
        return _format_with_reference(document, summary, language)
    return one_line(summary) + "\n"


def _rename_key(key: str, keys: Collection[str]) -> str:
    """Return a free key for a `summary` in the input, which would otherwise be overwritten."""
    if key == "summary":
        while key in keys:
            key = f"input_{key}"
    return key


def _format_with_reference(document: Document, summary: str, language: str | None) -> str:
    """Return document, reference and summary as a block; on a terminal they are wrapped and the document is cut."""
    lines = [one_line(f"{document.id} ({language})" if language else str(document.id))]
    for label, text in (("document", document.text), ("reference", document.reference or ""), ("summary", summary)):
        first, *others = _wrap(one_line(text) or "(empty)", _MAX_DOCUMENT_LINES if label == "document" else None)
        lines += [f"{label:<{_LABEL_WIDTH}}{first}", *(" " * _LABEL_WIDTH + line for line in others)]
    return "\n".join([*lines, "", ""])


def _wrap(text: str, most: int | None) -> list[str]:
    """Return a text wrapped to the terminal, at most `most` lines; without a terminal, as one line."""
    if not sys.stdout.isatty():
        return [text]
    console = Console()
    width = max(console.width - _LABEL_WIDTH, 20)
    lines = [line.plain.rstrip() for line in Text(text).wrap(console, width)]
    if most is not None and len(lines) > most:
        last = Text(lines[most - 1])
        last.truncate(width - 1)
        lines = [*lines[: most - 1], f"{last.plain}…"]
    return lines


@contextmanager
def _show_log(log: str) -> Iterator[Terminal]:
    """Show bars and bisum's log on a terminal's standard error, otherwise its warnings; `log=debug` shows all logs."""
    is_shown = sys.stderr is not None and sys.stderr.isatty() and log != "quiet"
    stderr = Terminal(bars=is_shown)
    stderr.console = Console(stderr=True)
    root, own = logging.getLogger(), logging.getLogger("bisum")
    levels = {root: root.level, own: own.level}
    handler = LogHandler(lambda _, text: stderr.console.print(f"> {text}", soft_wrap=True))
    if log == "debug":
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        own.setLevel(logging.DEBUG)
    elif is_shown:
        own.addHandler(handler)
        own.setLevel(logging.INFO)
    else:
        handler = LogHandler(lambda _, text: complain(text))
        own.addHandler(handler)
    try:
        yield stderr
    finally:
        for logger, level in levels.items():
            logger.removeHandler(handler)
            logger.setLevel(level)
