"""What is particular to a family of models: how it loads, reads text and what it cannot bear.

A further family is a class with these methods, named by `model.family._target_`, or an entry in `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bisum.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

IGNORED_LABEL = -100


@runtime_checkable
class Family(Protocol):
    """How one kind of model loads and reads text."""

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model with the checkpoint's weights; `options` go to `from_pretrained`."""

    def encode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        documents: Sequence[str],
        summaries: Sequence[str],
        languages: Sequence[str],
        limits: tuple[int, int],
    ) -> dict[str, list[Any]]:
        """Return the rows' columns `input_ids`, `labels` (lists of token ids), `document_cut` and `summary_cut` (bool).

        `limits` are the most tokens of a document and of a summary, special tokens included.
        """

    def precision_problem(self, precision: str) -> str | None:
        """Return why the family cannot run in `precision` (float32, bf16 or fp16), or None if it can."""


@dataclass(frozen=True, kw_only=True)
class Seq2Seq:
    """Encoder-decoder models with one source and one target text: BART, PEGASUS and the like."""

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model of the checkpoint.

        Raises:
            UserError: the checkpoint lacks some of the weights, which would be left random.
        """
        from transformers import AutoModelForSeq2SeqLM

        model: PreTrainedModel
        model, report = AutoModelForSeq2SeqLM.from_pretrained(
            checkpoint, config=config, output_loading_info=True, **options
        )
        if lacking := sorted(report["missing_keys"]) + [str(key[0]) for key in report["mismatched_keys"]]:
            raise UserError(
                f"model.checkpoint: the weights of '{checkpoint}' are not those of its config.json: "
                f"{len(lacking)} missing or of another shape, such as {lacking[0]}"
            )
        return model

    def encode(
        self,
        tokenizer: PreTrainedTokenizerBase,
        documents: Sequence[str],
        summaries: Sequence[str],
        languages: Sequence[str],  # noqa: ARG002 - these models read every language alike
        limits: tuple[int, int],
    ) -> dict[str, list[Any]]:
        """Tokenize documents as source and summaries as target text."""
        sources = tokenizer(list(documents), add_special_tokens=True, return_attention_mask=False)["input_ids"]
        targets = tokenizer(text_target=list(summaries), return_attention_mask=False)["input_ids"]
        return {
            "input_ids": [_cut(ids, limits[0], tokenizer) for ids in sources],
            "labels": [_cut(ids, limits[1], tokenizer) for ids in targets],
            "document_cut": [len(ids) > limits[0] for ids in sources],
            "summary_cut": [len(ids) > limits[1] for ids in targets],
        }

    def precision_problem(self, precision: str) -> str | None:  # noqa: ARG002 - all of them work
        """Return None: these models bear every precision."""
        return None


@dataclass(frozen=True, kw_only=True)
class T5(Seq2Seq):
    """T5 (Raffel et al. 2020), mT5 (Xue et al. 2021) and their kin."""

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model; a head of its own, as mT5 and T5 v1.1 have, stays its own.

        transformers' MT5Config declares the head tied, so that resizing or re-tying would overwrite it with the
        embedding; the flag is put right on the loaded model.
        """
        model = super().load_model(checkpoint, config, **options)
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if head.weight is not embedding.weight:
            model.config.tie_word_embeddings = False
        return model

    def precision_problem(self, precision: str) -> str | None:
        """Refuse fp16: activations of models trained in bf16 overflow its range."""
        if precision == "fp16":
            return "T5-family activations overflow fp16 and the loss becomes NaN; use bf16 or float32"
        return None


FAMILIES: dict[str, Family] = {
    "t5": T5(),
    "mt5": T5(),
    "longt5": T5(),
    "bart": Seq2Seq(),
    "pegasus": Seq2Seq(),
}
"""Family of each `model_type` of a checkpoint's config.json."""


def _cut(ids: list[int], limit: int, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return at most `limit` ids; a cut one keeps its end-of-sequence token, as the tokenizer's truncation does."""
    if len(ids) <= limit:
        return ids
    return [*ids[: limit - 1], ids[-1]] if ids[-1] == tokenizer.eos_token_id else ids[:limit]
