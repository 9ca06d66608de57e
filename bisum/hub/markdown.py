"""Escaping of untrusted text for Markdown: it stays in its line or cell and adds no markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from bisum.errors import one_line, without_secrets

_LONGEST = 200
"""Characters after which a text is cut."""
LONGEST_COMMAND = 2000
"""Characters after which a command, or an argument of one, is cut."""
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>|~&$#@]")
"""Characters with a meaning inside a line of Markdown, a table's row or HTML."""
_START = re.compile(r"^(\d{0,9})([-+=]|[.)](?=\s|$))")
"""A start that would open a list or a rule in a line of its own."""


def line(value: Any, longest: int = _LONGEST) -> str:
    """Return a value's text on one line, cut and without control characters, lone surrogates and secrets of URLs."""
    text = without_secrets(one_line(str(value)).encode(errors="replace").decode())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def escaped(value: Any) -> Markup:
    """Return a value as plain text; Markdown stays as it is, and None is empty."""
    if isinstance(value, Markup):
        return value
    return Markup(_entities("" if value is None else line(value)))


def code(value: Any) -> Markup:
    """Return a value as code, for use in a table or elsewhere."""
    text = line(value) or "(empty)"
    # In a table, backticks protect neither a bar nor a backslash before one.
    return Markup(f"<code>{_entities(text)}</code>" if re.search(r"[`|\\<>&]", text) else f"`{text}`")


def fenced(text: str, language: str) -> Markup:
    """Return a text, which must not contain control characters except line feeds, as a code block."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def table(header: Sequence[Any], rows: Sequence[Sequence[Any]], numbers: int = 0) -> Markup:
    """Return a table whose last `numbers` columns are aligned on the right; empty without rows."""
    if not rows:
        return Markup("")
    rule = ["---"] * (len(header) - numbers) + ["---:"] * numbers
    first, *others = ([str(escaped(cell)) for cell in row] for row in (header, *rows))
    return Markup("\n".join(f"| {' | '.join(cells)} |" for cells in (first, rule, *others)))


def listed(items: Sequence[Any], last: str = "and") -> Markup:
    """Join items as in a sentence: "a, b and c"."""
    *others, end = [escaped(item) for item in items]
    return Markup(f"{', '.join(others)} {last} {end}" if others else end)


def _entities(text: str) -> str:
    text = _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text)
    return _START.sub(lambda found: f"{found[1]}&#{ord(found[2])};", text)
