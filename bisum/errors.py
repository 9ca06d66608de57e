"""bisum's exceptions, and helpers for their messages."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import suppress

from bisum.printing import clean


class UserError(Exception):
    """Bad input of any kind: a key, a file, a row, an unavailable device.

    The message is one line that names the key, file or row and the fix. The command line prints it without a traceback
    and exits with code 2.
    """


class Failed(Exception):
    """A run failed for a reason other than bad input; the traceback is in its `train.log`. Exit code 1."""


def complain(error: Exception | str) -> None:
    """Print an error to standard error, each line prefixed with `bisum:` and control characters escaped."""
    if sys.stderr is None:  # closed by the shell (`2>&-`); print() would use standard output instead
        return
    with suppress(OSError):
        print("\n".join(f"bisum: {printable(line)}" for line in str(error).rstrip().split("\n")), file=sys.stderr)


def one_line(message: BaseException | str) -> str:
    """Return a text or an error's message, cleaned, on one line; for an error without a message, its class name."""
    return " ".join(clean(str(message)).split()) or ("" if isinstance(message, str) else type(message).__name__)


def reason(error: BaseException) -> str:
    """Return the class and message of an unexpected error on one line."""
    return one_line(f"{type(error).__name__}: {error}")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, torch on a CPU or torch on a GPU could not allocate memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def printable(text: str) -> str:
    """Return a text, such as a file name, with unprintable characters escaped (\\n, \\x1b, \\xe9).

    A byte that is not UTF-8, which Python represents by half of a surrogate pair, is shown as that byte.
    """
    if text.isprintable():
        return text
    escaped = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return "".join(f"\\x{char[4:]}" if char.startswith("\\udc") else char for char in escaped)


def without_secrets(text: str) -> str:
    """Return a text with each URL's query, parameters, fragment and login, which may be secrets, replaced by `...`."""
    if "://" not in text:
        return text
    return "".join(_mask_url(part) if "://" in part else part for part in re.split(r"(\s+)", text))


def _mask_url(word: str) -> str:
    """Mask a URL, or a chain of URLs such as fsspec's `zip://a.csv::https://host/b.zip`."""
    url = word.rstrip("])}>,;:.'\"")
    scheme, *others = url.split("://")
    masked = [scheme]
    for rest in others:
        masked.append(f"...@{rest[end:]}" if (end := login_end(masked[-1], rest)) else rest)
    shown = "://".join(masked)
    cut = next((at for at in range(len(scheme) + 3, len(shown)) if shown[at] in "?;#"), len(shown))
    is_masked = shown.startswith("...", cut + 1) or len(shown) <= cut + 1
    return shown[:cut] + (shown[cut:] if is_masked else f"{shown[cut]}...") + word[len(url) :]


def login_end(scheme: str, rest: str) -> int:
    """Return the end of the login at the start of `rest`, the text after `scheme://`; 0 if there is no login."""
    scheme = re.split(r"[^\w+.-]", scheme)[-1].lower()
    if scheme in _SCHEMES_WITHOUT_LOGIN or rest.startswith("...@"):
        return 0
    host, _, port = rest.partition("/")[0].partition(":")
    # A colon without a port begins a password, which may contain a slash.
    has_password = bool(port) and not re.fullmatch(r"\d*", port)
    login = rest if has_password else host if scheme in ("http", "https", "ftp", "ftps", "sftp", "ssh") else ""
    return login.rfind("@") + 1


_SCHEMES_WITHOUT_LOGIN = {"abfs", "abfss", "adl", "az", "git", "github", "hf", "oci", "ocilake"}
"""fsspec protocols whose @ separates a container, repository or revision, not a login."""


def shown(value: object) -> str:
    """Return a value as shown in messages, cut at 40 characters."""
    text = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return text if len(text) <= 40 else f"{text[:37]}..."


def either(choices: Iterable[str]) -> str:
    """Join choices for a message: "a, b or c"."""
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the closest choice, or "" if none is close."""
    import difflib  # imported here, since only errors need it

    close = difflib.get_close_matches(word, [choice for choice in choices if choice != word], n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""
