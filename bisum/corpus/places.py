"""How messages name a file or URL."""

from __future__ import annotations

import re

from bisum.errors import printable


def without_queries(text: str) -> str:
    """Replace the query of each URL in a text by `...`, since it may hold a signature."""
    end = r"[\])}>,;:.'\"]*(?:\s|$)"
    return re.sub(rf"(://[^\s?]*\?)(?!\.{{3}}{end})\S+?(?={end})", r"\1...", text)


def readable(text: str) -> str:
    """Return a path, a URL, or a text that names some, without queries, and with escapes for what cannot be shown."""
    return printable(without_queries(text))
