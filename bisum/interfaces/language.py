"""The annotation of a language's code in a configuration."""

from typing import Annotated, Final

_CODE: Final = "code of a language"

Language = Annotated[str, _CODE]
"""Code of a language, such as en. YAML reads `no`, the code of Norwegian, as false; bisum takes the word as written."""
