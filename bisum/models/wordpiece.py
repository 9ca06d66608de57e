"""Decoded text of BERT's tokenizers, which put spaces around Chinese characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CHINESE = r"[\u00b7\u2014\u2018-\u201d\u2026\u3000-\u303f\u3400-\u9fff\uff00-\uff65\U00020000-\U0003ffff]"
"""Ideographs, which BERT's tokenizer separates, and Chinese punctuation."""
CHINESE_SPACE = f"(?<={_CHINESE}) (?={_CHINESE})"
"""Regular expression of a space between Chinese characters."""


def separates_chinese(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a tokenizer puts spaces around Chinese characters."""
    from transformers import BertTokenizer

    return isinstance(tokenizer, BertTokenizer)


def join_chinese(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return texts that `tokenizer` decoded, without the spaces that it put between Chinese characters."""
    return [re.sub(CHINESE_SPACE, "", text) for text in texts] if separates_chinese(tokenizer) else list(texts)
