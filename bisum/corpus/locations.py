"""How messages name a file or URL."""

from __future__ import annotations

from bisum.errors import printable, without_secrets


def readable(text: str) -> str:
    """Return a path, a URL, or a text that names some, without secrets, and with escapes for what cannot be shown."""
    return printable(without_secrets(text))
