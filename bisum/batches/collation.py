"""Collation of rows' token ids into a model's input tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from bisum.batches.shapes import Shapes
from bisum.interfaces.family import IGNORED_LABEL
from bisum.models.loading import LoadedModel


@dataclass(frozen=True)
class Collator:
    """A function that pads rows to the longest in their batch, or to `shapes`, and builds the model's arguments.

    A batch contains int64 tensors: `labels`, shape (rows, summary tokens), padded with -100, which the loss ignores,
    and those of `Family.model_inputs`.
    """

    loaded: LoadedModel
    shapes: Shapes | None = None
    """Shapes of batches; each batch is filled up to `rows` rows with copies of its first document without labels."""
    rows: int = 0

    def __call__(self, items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the batch of some rows of an `EncodedSplit`."""
        family, pad = self.loaded.family, int(self.loaded.tokenizer.pad_token_id)
        longest, longest_summary = (max(len(item[name]) for item in items) for name in ("input_ids", "labels"))
        if self.shapes is not None:
            longest, longest_summary = self.shapes.document_length(longest), self.shapes.summary_length
            items = [*items, *[{**items[0], "labels": []}] * (self.rows - len(items))]
        documents = _pad([item["input_ids"] for item in items], pad, longest, left=family.left_padded)
        mask = _pad([np.ones(len(item["input_ids"])) for item in items], 0, longest, left=family.left_padded)
        labels = _pad([item["labels"] for item in items], IGNORED_LABEL, longest_summary)
        return {"labels": labels, **family.model_inputs(self.loaded.config, documents, mask, labels, pad)}


def _pad(rows: Sequence[np.ndarray[Any, Any]], value: int, length: int, *, left: bool = False) -> torch.Tensor:
    padded = np.full((len(rows), length), value, dtype=np.int64)
    for index, row in enumerate(rows):
        padded[index, length - len(row) if left else 0 : length if left else len(row)] = row
    return torch.from_numpy(padded)
