"""Which model a run starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from bisum.errors import UserError
from bisum.models.architectures import Architecture
from bisum.models.family import Family


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A pretrained checkpoint, or an architecture with random weights, and how text meets it."""

    checkpoint: str | None
    """Local directory, hub name or `pkg://PACKAGE` of a pretrained model; null: random weights of `architecture`."""
    revision: str | None
    """Commit of the hub repository, so that the same name gives the same weights; null: its newest."""
    pickled_weights: bool
    """Whether weights may be read from `pytorch_model.bin`, by torch's unpickler that runs no code."""
    architecture: Architecture | None
    """A `_target_` node that builds a model with random weights; not used when `checkpoint` is given."""
    family: Family | None
    """A `_target_` node with what is particular to the model; null: chosen by the checkpoint's `model_type`."""
    prefix: str | None
    """Text put before each document; null: what the checkpoint's own configuration says for summarization, or none."""
    suffix: str | None
    """Text put after each document, as GPT-2 is told `TL;DR:`; null: what the checkpoint says, or none."""
    max_document_tokens: Annotated[int, Ge(8)]
    """Tokens of a document, with prefix, suffix and special tokens; longer documents are cut at their end."""
    max_summary_tokens: Annotated[int, Ge(2)]
    """Tokens of a summary with its end-of-sequence token: cut in training, the limit in generation."""

    def __post_init__(self) -> None:
        if self.checkpoint is None and self.architecture is None:
            raise UserError("has neither checkpoint (a directory or hub name) nor architecture (random weights)")
        if self.checkpoint is None and self.revision is not None:
            raise UserError("revision is given without checkpoint, the repository it belongs to")
        for name, text in (("prefix", self.prefix), ("suffix", self.suffix)):
            if "\\n" in (text or ""):
                raise UserError(
                    f"{name}: write a line break as one, not as \\n; in bash $'model.{name}=\"...\\n\"' does"
                )
