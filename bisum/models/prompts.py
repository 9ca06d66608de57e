"""Token ids of documents, summaries and prompts, cut at a model's limits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from bisum.errors import UserError
from bisum.models.text_tokenizer import text_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def columns(
    documents: Sequence[tuple[list[int], bool]], summaries: Sequence[tuple[list[int], bool]]
) -> dict[str, list[Any]]:
    """Return the columns of `Family.encode` from pairs of token ids and whether they were cut."""
    return {
        "input_ids": [ids for ids, _ in documents],
        "labels": [ids for ids, _ in summaries],
        "document_cut": [was_cut for _, was_cut in documents],
        "summary_cut": [was_cut for _, was_cut in summaries],
    }


def cut(ids: list[int], limit: int, end: int | None) -> tuple[list[int], bool]:
    """Return at most `limit` ids, and whether any were dropped; keep a final end-of-sequence token `end`."""
    if len(ids) <= limit:
        return ids, False
    return ([*ids[: limit - 1], ids[-1]] if ids[-1] == end else ids[:limit]), True


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase,
    documents: Sequence[str],
    before: str,
    after: str,
    limit: int,
    *,
    special: bool = True,
) -> list[tuple[list[int], bool]]:
    """Return the token ids of each document between `before` and `after`, shortened to at most `limit` ids.

    Only the document is shortened. `special` is whether to add the tokens that the tokenizer puts around a text. The
    second value of each pair is whether the document was shortened.

    Raises:
        UserError: the prompt without a document is longer than `limit`.
    """
    encode = text_tokenizer(tokenizer)

    def ids_of(texts: Sequence[str]) -> list[list[int]]:
        return encode(texts, before, after, special=special)

    def shortened(document: str, length: int) -> list[int]:
        if not tokenizer.is_fast or encode.find_special([document]):  # no offsets, or those of other tokens
            lengths = range(1, len(document) + 1)
            fitting = bisect_right(lengths, limit, key=lambda length: len(ids_of([document[:length]])[0]))
            return ids_of([document[:fitting]])[0] if fitting else refuse()
        offsets = tokenizer(document, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        kept, ids = len(offsets), [0] * length
        while len(ids) > limit:
            kept -= len(ids) - limit
            (ids,) = ids_of([document[: offsets[kept - 1][1]]]) if kept > 0 else refuse()
        return ids

    def refuse() -> NoReturn:
        (around,) = ids_of([""])
        raise UserError(f"model.max_document_tokens: the prompt alone has {len(around)} tokens; raise the limit")

    return [
        (ids, False) if len(ids) <= limit else (shortened(document, len(ids)), True)
        for document, ids in zip(documents, ids_of(documents), strict=True)
    ]
