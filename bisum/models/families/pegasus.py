"""PEGASUS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bisum.models.families.bart import Bart

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from bisum.interfaces.family import TextReader


@dataclass(frozen=True, kw_only=True)
class Pegasus(Bart):
    """PEGASUS (Zhang et al. 2020), which writes line breaks as `<n>`."""

    def precision_problem(self, precision: str) -> str | None:
        """Return why fp16 fails; transformers' documentation of PEGASUS advises against it."""
        return "PEGASUS overflows fp16; use bf16 or float32" if precision == "fp16" else None

    def encode(
        self, reader: TextReader, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Tokenize as its authors do, with line breaks as `<n>` if the vocabulary has it."""
        if self.writes_breaks(reader.tokenizer):
            documents, summaries = ([text.replace("\n", "<n>") for text in texts] for texts in (documents, summaries))
        return super().encode(reader, documents, summaries, languages)

    @staticmethod
    def writes_breaks(tokenizer: PreTrainedTokenizerBase) -> bool:
        """Return whether the vocabulary has `<n>`."""
        return bool(tokenizer.convert_tokens_to_ids("<n>") != tokenizer.unk_token_id)

    def decode(self, tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor) -> list[str]:
        """Return the texts, with line breaks restored."""
        return [re.sub(r" *<n> *", "\n", text).strip() for text in super().decode(tokenizer, ids)]
