"""A document to summarize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text to summarize, with its metadata."""

    text: str
    language: str | None = None
    """Language code, such as es; None: the language given for all documents."""
    id: str | int | None = None
    """The id in the input, otherwise the position, such as `notes.txt:3`."""
    reference: str | None = None
    """A human-written summary."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """Other metadata from the input: further keys of a JSON line, the category of a table's row."""
    place: str = ""
    """Position in error messages, such as `notes.txt, line 3`."""
