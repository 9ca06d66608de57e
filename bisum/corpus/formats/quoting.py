"""The meaning of double quotes in a CSV or TSV file."""

from typing import Literal

Quoting = Literal["auto", "minimal", "none"]
"""See `bisum.corpus.files.Files.quoting`."""
