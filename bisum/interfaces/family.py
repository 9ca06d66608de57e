"""The interface of a model family, and its text reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bisum.errors import UserError, reason

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

IGNORED_LABEL = -100
"""Label at positions that the loss ignores."""


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """The code for one kind of model: loading, encoding, training and generation."""

    needs_language: ClassVar[bool] = False
    """Whether the model needs the language of each text."""
    left_padded: ClassVar[bool] = False
    """Whether documents are padded on the left, as models that continue a text require."""
    forced_tokens: ClassVar[int] = 0
    """Number of labels before a summary, which `generate` forces; summary lengths do not include them."""

    adapter_targets: ClassVar[tuple[str, ...] | Literal["all-linear"]] = "all-linear"
    """Linear layers that LoRA adapts by default: their names, those that a model lacks included, or all but the output
    layer."""

    def load_tokenizer(self, checkpoint: str, **options: Any) -> PreTrainedTokenizerBase:
        """Return the checkpoint's tokenizer; `options` go to `from_pretrained`."""
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(checkpoint, **options)
        return tokenizer

    def for_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> Family:  # noqa: ARG002 - most need no other
        """Return the family to use with this tokenizer; raise UserError if bisum supports none."""
        return self

    @abstractmethod
    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model with the checkpoint's weights; `options` go to `from_pretrained`."""

    def check(self, reader: TextReader) -> None:  # noqa: B027 - most families accept everything
        """Raise `UserError` for token limits or a prompt that the model does not support."""

    def precision_problem(self, precision: str) -> str | None:  # noqa: ARG002 - most families support all
        """Return why the family cannot run in `precision` (float32, bf16 or fp16), or None if it can."""
        return None

    def suppressed_tokens(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[int]:  # noqa: ARG002
        """Return the ids, among the model's `vocabulary` tokens, that summaries must not contain."""
        return []

    @abstractmethod
    def encode(
        self, reader: TextReader, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Return the rows' columns `input_ids`, `labels` (lists of token ids), `document_cut` and `summary_cut` (bool).

        The summaries are empty if only the documents are needed.

        Raises:
            UserError: the model does not know a language, or the limits leave no room for a document.
        """

    def decode(self, tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor) -> list[str]:
        """Return the texts of generated token ids of shape (rows, tokens)."""
        texts: list[str] = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    @abstractmethod
    def model_inputs(
        self, config: PretrainedConfig, documents: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor, pad: int
    ) -> dict[str, torch.Tensor]:
        """Return the keyword arguments for which the model returns the logits of each label.

        Args:
            config: the model's configuration.
            documents: token ids, shape (rows, document tokens), padded with `pad`.
            mask: 1 at document tokens and 0 at padding, same shape.
            labels: token ids, shape (rows, summary tokens), padded with -100 on the right.
            pad: the padding token's id.
        """

    @abstractmethod
    def generate(
        self,
        model: PreTrainedModel,
        inputs: dict[str, torch.Tensor],
        config: GenerationConfig,
        states: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the token ids of the summaries, without prompts, shape (rows, at most max_new_tokens).

        `inputs` are the arguments of the forward pass; `states` is the encoder's output for them, if known.
        """


@dataclass(frozen=True)
class TextReader:
    """The conversion of text to a model's inputs, without its weights."""

    tokenizer: PreTrainedTokenizerBase
    family: Family
    config: PretrainedConfig
    """The model's configuration."""
    prefix: str
    """Text before each document; can be empty."""
    suffix: str
    """Text after each document; can be empty."""
    max_document_tokens: int
    max_summary_tokens: int

    @property
    def unknown_token(self) -> int | None:
        """Id of the unknown token; None if the tokenizer has none or uses the end token for it, as GPT-2 does."""
        unknown: int | None = self.tokenizer.unk_token_id
        return None if self.tokenizer.unk_token == self.tokenizer.eos_token else unknown

    def prompt(self, document: str) -> str:
        """Return a document with prefix and suffix."""
        return f"{self.prefix}{document}{self.suffix}"

    def encode(
        self, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Return the columns of `Family.encode`.

        Raises:
            UserError: the reasons in `Family.encode`, or any failure of a user's own family.
        """
        try:
            return self.family.encode(self, documents, summaries, languages)
        except UserError:
            raise
        except Exception as error:
            family = type(self.family)
            if family.__module__.startswith("bisum."):
                raise
            known = ", ".join(sorted(set(languages)))
            raise UserError(f"model.family: {family.__name__} fails on texts in {known}: {reason(error)}") from error
