"""The annotation of text that must say something, such as a name or a path."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Filled:
    """A constraint on text: it holds more than blanks."""


Name = Annotated[str, Filled()]
"""Text that is not empty."""
