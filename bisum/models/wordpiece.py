"""Decoded text of BERT's tokenizers, which put spaces around Chinese characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CHINESE = "\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uff65\U00020000-\U0002fa1f"
"""Ideographs (those that BERT's tokenizer separates) and the punctuation between them."""
_SPACE = re.compile(f"(?<=[{_CHINESE}]) (?=[{_CHINESE}])")


def join_chinese(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Return texts that `tokenizer` decoded, without the spaces that it put between Chinese characters."""
    from transformers import BertTokenizer

    if not isinstance(tokenizer, BertTokenizer):
        return list(texts)
    return [_SPACE.sub("", text) for text in texts]
