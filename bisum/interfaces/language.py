"""The annotation of a language code in a configuration."""

from typing import Annotated, Final

_CODE: Final = "language code"

Language = Annotated[str, _CODE]
"""A language code, such as en. YAML reads `no`, Norwegian, as false; bisum uses the word as written."""
