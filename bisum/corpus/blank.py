"""Blank texts: those with only white space and characters that Unicode renders invisible."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_IGNORABLE = (
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""First and last code points of the ranges of Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt)."""


_WHITE_SPACE = r"\s\v\x1c-\x1f\x85\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
"""White space as defined by `str.isspace`, as RE2 ranges, since RE2's `\\s` covers ASCII only."""

_RANGES = "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in _IGNORABLE)
_VISIBLE = f"[^{_WHITE_SPACE}{_RANGES}]"


def is_blank_text(text: str) -> bool:
    """Return whether a text is empty, or only white space and default-ignorable characters."""
    return all(
        character.isspace() or any(first <= ord(character) <= last for first, last in _IGNORABLE) for character in text
    )


def is_blank(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whether each text is empty, or only white space and default-ignorable characters (null for null)."""
    import pyarrow.compute as pc

    return pc.invert(pc.match_substring_regex(texts, _VISIBLE))
