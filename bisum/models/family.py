"""What is particular to a family of models: the interface, and what all families share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bisum.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import (
        GenerationConfig,
        LogitsProcessorList,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

    from bisum.models.loading import TextReader

IGNORED_LABEL = -100


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """How one kind of model loads, reads text, learns from it and writes."""

    needs_language: ClassVar[bool] = False
    """Whether the model must be told the language of a text."""
    left_padded: ClassVar[bool] = False
    """Whether documents are padded on the left, as what continues a text needs it."""

    def load_tokenizer(self, checkpoint: str, **options: Any) -> PreTrainedTokenizerBase:
        """Return the checkpoint's tokenizer; `options` go to `from_pretrained`."""
        from transformers import AutoTokenizer

        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(checkpoint, **options)
        return tokenizer

    @abstractmethod
    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model with the checkpoint's weights; `options` go to `from_pretrained`."""

    def check(self, reader: TextReader) -> None:  # noqa: B027 - most families have nothing to object to
        """Raise UserError for limits or a prompt that the model cannot have."""

    def precision_problem(self, precision: str) -> str | None:  # noqa: ARG002 - most bear all
        """Return why the family cannot run in `precision` (float32, bf16 or fp16), or None if it can."""
        return None

    def unwanted_tokens(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[int]:  # noqa: ARG002
        """Return the token ids, of a model with `vocabulary` of them, that no summary may hold."""
        return []

    @abstractmethod
    def encode(
        self, reader: TextReader, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Return the rows' columns `input_ids`, `labels` (lists of token ids), `document_cut` and `summary_cut` (bool).

        A summary is empty where only the document is to be read.

        Raises:
            UserError: a language that the model does not know, or limits that leave no room for a document.
        """

    def decode(self, tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor) -> list[str]:
        """Return the texts of generated token ids, shape (rows, tokens)."""
        texts: list[str] = tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    @abstractmethod
    def model_inputs(
        self, config: PretrainedConfig, documents: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor, pad: int
    ) -> dict[str, torch.Tensor]:
        """Return what the model is called with to give logits of the shape of `labels`, one for each label.

        Args:
            config: of the model.
            documents: token ids, shape (rows, document tokens), padded with `pad`.
            mask: 1 where a document's token is, of the same shape.
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
        """Return the summaries' token ids alone, shape (rows, at most max_new_tokens).

        `inputs` are those of the forward pass; `states` the encoder's output in it, if that is known.
        """


def load_weights(
    auto_model: Any, checkpoint: str, config: PretrainedConfig, options: dict[str, Any]
) -> PreTrainedModel:
    """Return an auto class' model of a checkpoint.

    Raises:
        UserError: the checkpoint lacks some of the weights, which would be left random, or has them in another shape.
    """
    model: PreTrainedModel
    model, report = auto_model.from_pretrained(
        checkpoint, config=config, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    if lacking := sorted([*report["missing_keys"], *(str(key[0]) for key in report["mismatched_keys"])]):
        raise UserError(
            f"model.checkpoint: the weights of '{checkpoint}' are not those of its config.json: "
            f"{len(lacking)} missing or of another shape, such as {lacking[0]}"
        )
    return model


def end_tokens(eos_token_id: int | list[int]) -> list[int]:
    """Return the ids of the tokens that end a summary, of which a generation config has one or several."""
    return eos_token_id if isinstance(eos_token_id, list) else [eos_token_id]


def fresh_ngrams(config: GenerationConfig, started: int) -> tuple[GenerationConfig, LogitsProcessorList]:
    """Return what keeps n-grams from coming twice in a summary, the `started` tokens before it not counted.

    transformers counts them: with `no_repeat_ngram_size=1` BART, which starts from its end token, could never end.
    """
    from transformers import LogitsProcessor, LogitsProcessorList, NoRepeatNGramLogitsProcessor

    if not (size := config.no_repeat_ngram_size):
        return config, LogitsProcessorList()
    usual = NoRepeatNGramLogitsProcessor(size)

    class FreshNGrams(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            return usual(input_ids[:, started:], scores)

    config = copy(config)
    config.no_repeat_ngram_size = 0
    return config, LogitsProcessorList([FreshNGrams()])


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
    """Return at most `limit` ids, and whether some are gone; the end-of-sequence token `end` stays where it stood."""
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
    """Return the token ids of the prompt around each document, the document shortened until they are at most `limit`.

    `options` go to the tokenizer. The second value of each pair tells whether the document was shortened.

    Raises:
        UserError: the prompt is longer than `limit` without any document.
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
            raise UserError(f"model.max_document_tokens: the prompt around a document has {around} tokens; raise it")
        ids = tokenizer(prompt(document[: offsets[kept - 1][1]]), **options)["input_ids"]
    return ids
