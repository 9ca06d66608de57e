"""The annotation of text that cannot be empty, such as a name or a path."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Filled:
    """A constraint on text: it is not only white space."""


Name = Annotated[str, Filled()]
"""Text that is not empty."""
