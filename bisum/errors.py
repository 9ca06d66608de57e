"""The exceptions of bisum, and helpers that word their messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import suppress

from bisum.printing import clean


class UserError(Exception):
    """Bad input of any kind: a key, a file, a row, an unavailable device.

    The message is one line that names the key, file or row and says what would be right. The command line prints it
    without a traceback and exits with code 2.
    """


class Failed(Exception):
    """A run ended with an error that is not bad input; its traceback is in the run's `train.log`. Exit code 1."""


def complain(error: Exception | str) -> None:
    """Print an error on standard error, with `bisum:` before each of its lines and control characters as escapes."""
    if sys.stderr is None:  # closed by the shell: `2>&-`; print() would take standard output instead
        return
    with suppress(OSError):
        print("\n".join(f"bisum: {printable(line)}" for line in str(error).rstrip().split("\n")), file=sys.stderr)


def one_line(said: BaseException | str) -> str:
    """Return a text or an error's message, cleaned, on one line; for an error without a message, its class' name."""
    return " ".join(clean(str(said)).split()) or ("" if isinstance(said, str) else type(said).__name__)


def reason(error: BaseException) -> str:
    """Return the class and message of an unexpected error on one line."""
    return one_line(f"{type(error).__name__}: {error}")


def printable(text: str) -> str:
    """Return a text, such as a file's name, with characters that cannot be shown as escapes (\\n, \\x1b, \\xe9).

    A byte of a name that is not UTF-8, which Python holds as half of a surrogate pair, is shown as that byte.
    """
    if text.isprintable():
        return text
    escaped = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return "".join(f"\\x{char[4:]}" if char.startswith("\\udc") else char for char in escaped)


def without_secrets(text: str) -> str:
    """Return a text in which each URL's query, parameters, fragment and login, which may be secrets, are `...`."""
    if "://" not in text:
        return text
    end = r"[\])}>,;:.'\"]*(?:\s|$)"
    text = re.sub(rf"(://[^\s?;#]*[?;#])(?!\.{{3}}{end})\S+?(?={end})", r"\1...", text)
    text = re.sub(r"(https?://)(?!\.{3}@)[^\s/?#]*@", r"\1...@", text)
    # fsspec puts a repository, such as github://NAME:REPOSITORY@BRANCH, where others put a login.
    return re.sub(r"(?<!\w)((?!git:|github:)\w[\w+.-]*://)[^\s/?#]*:[^\s/?#]*@", r"\1...@", text)


def shown(value: object) -> str:
    """Return a value for a message, cut at 40 characters."""
    text = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return text if len(text) <= 40 else f"{text[:37]}..."


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the closest choice, or nothing."""
    import difflib  # imported here, since only an error needs it

    close = difflib.get_close_matches(word, [choice for choice in choices if choice != word], n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""
