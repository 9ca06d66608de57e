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
    return "".join(_without_secrets(part) if "://" in part else part for part in re.split(r"(\s+)", text))


def _without_secrets(word: str) -> str:
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
    """Return where the login at the start of `rest`, which follows `scheme://`, ends; 0 if there is none."""
    scheme = re.split(r"[^\w+.-]", scheme)[-1].lower()
    if scheme in _AT_IS_NO_LOGIN or rest.startswith("...@"):
        return 0
    host, _, port = rest.partition("/")[0].partition(":")
    # A colon that is followed by no port begins a password, which may hold a slash.
    has_password = bool(port) and not re.fullmatch(r"\d*", port)
    login = rest if has_password else host if scheme in ("http", "https", "ftp", "ftps", "sftp", "ssh") else ""
    return login.rfind("@") + 1


_AT_IS_NO_LOGIN = {"abfs", "abfss", "adl", "az", "git", "github", "hf", "oci", "ocilake"}
"""fsspec protocols that put a container, a repository or a revision before or after an @, not a login."""


def shown(value: object) -> str:
    """Return a value for a message, cut at 40 characters."""
    text = {"None": "null", "True": "true", "False": "false"}.get(repr(value), repr(value))
    return text if len(text) <= 40 else f"{text[:37]}..."


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for the closest choice, or nothing."""
    import difflib  # imported here, since only an error needs it

    close = difflib.get_close_matches(word, [choice for choice in choices if choice != word], n=1, cutoff=0.6)
    return f", did you mean '{close[0]}'?" if close else ""
