"""Token ids of documents, summaries and prompts, cut at a model's limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bisum.errors import UserError

if TYPE_CHECKING:
    from transformers import (
        PreTrainedTokenizerBase,
    )


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
    prompt: Callable[[str], str],
    limit: int,
    **options: Any,
) -> list[tuple[list[int], bool]]:
    """Return the token ids of the prompt with each document, shortened until there are at most `limit` ids.

    `options` go to the tokenizer. The second value of each pair is whether the document was shortened.

    Raises:
        UserError: the prompt without a document is longer than `limit`.
    """
    encoded = tokenizer([prompt(document) for document in documents], **options)["input_ids"]
    return [
        (ids, False) if len(ids) <= limit else (_shortened(tokenizer, document, len(ids), prompt, limit, options), True)
        for document, ids in zip(documents, encoded, strict=True)
    ]


def _shortened(
    tokenizer: PreTrainedTokenizerBase,
    document: str,
    length: int,
    prompt: Callable[[str], str],
    limit: int,
    options: dict[str, Any],
) -> list[int]:
    offsets = tokenizer(document, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    kept, ids = len(offsets), [0] * length
    while len(ids) > limit:
        kept -= len(ids) - limit
        if kept < 1:
            around = len(tokenizer(prompt(""), **options)["input_ids"])
            raise UserError(f"model.max_document_tokens: the prompt alone has {around} tokens; raise the limit")
        ids = tokenizer(prompt(document[: offsets[kept - 1][1]]), **options)["input_ids"]
    return ids
