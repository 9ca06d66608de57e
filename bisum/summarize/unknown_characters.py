"""Texts with characters that a tokenizer lacks."""

from __future__ import annotations

import unicodedata
from collections import Counter

from bisum.interfaces.family import TextReader


class UnknownCharacters:
    """The characters that a reader's tokenizer turns into its unknown token."""

    def __init__(self, reader: TextReader) -> None:
        self._reader = reader
        self._is_unknown: dict[str, bool] = {}

    def share(self, text: str) -> float:
        """Return the share of a text's characters, without white space, that the tokenizer lacks."""
        if (unknown_token := self._reader.unknown_token) is None:
            return 0.0
        # Tokenizers compose a letter with its accent, which they can lack by itself.
        counts = Counter("".join(unicodedata.normalize("NFC", text).split()))
        if not counts:
            return 0.0
        if new := [character for character in counts if character not in self._is_unknown]:
            tokens = self._reader.tokenizer(new, add_special_tokens=False)["input_ids"]
            self._is_unknown |= {character: unknown_token in ids for character, ids in zip(new, tokens, strict=True)}
        return sum(count for character, count in counts.items() if self._is_unknown[character]) / counts.total()
