"""The error family: what a user can mend, and what broke."""

import sys
from contextlib import suppress


class UserError(Exception):
    """Bad input of any kind: a key, a file, a row, a device that is not there.

    The message is one line that names the key, file or row and says what would be right. The command line
    prints it without a traceback and exits with code 2.
    """


class Failed(Exception):
    """A run ended with an error that is not bad input; its traceback is in the run's `train.log`. Exit code 1."""


def complain(error: Exception | str) -> None:
    """Tell of an error on standard error, a line for each of its own."""
    if sys.stderr is None:  # closed by the shell: `2>&-`; print() would take standard output instead
        return
    text = "\n".join(f"bisum: {line}" for line in str(error).splitlines())
    with suppress(OSError):
        print(text.encode(errors="backslashreplace").decode(), file=sys.stderr)
