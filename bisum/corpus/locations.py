"""Names of files and URLs in messages."""

from __future__ import annotations

from bisum.errors import printable, without_secrets


def readable(text: str) -> str:
    """Return a path, a URL, or a text that contains some, without secrets and with unprintable characters escaped."""
    return printable(without_secrets(text))
