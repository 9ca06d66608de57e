"""GPT-2 and other decoder-only models, which write the summary after the document and a prompt."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bisum.errors import UserError, reason
from bisum.interfaces.family import IGNORED_LABEL, Family
from bisum.models.decoding import ban_repeated_ngrams
from bisum.models.prompts import columns, cut, encode_prompts
from bisum.models.text_tokenizer import text_tokenizer
from bisum.models.weights import load_weights

_DOCUMENT = ("The  Document <4B1c3e7d> & 'its'\n\ntext. " * 40).strip()
"""Text in place of the document, to find its place in a chat template, and whether the template changes texts."""

if TYPE_CHECKING:
    import torch
    from transformers import (
        GenerationConfig,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

    from bisum.interfaces.family import TextReader


@dataclass(frozen=True, kw_only=True)
class DecoderOnly(Family):
    """Causal language models: GPT-2 (Radford et al. 2019, who summarize with `TL;DR:`) and instruction-tuned models.

    The prompt consists of prefix, document and suffix. With a chat template, it is the user's turn and the summary is
    the assistant's.
    """

    left_padded: ClassVar[bool] = True

    def load_tokenizer(self, checkpoint: str, **options: Any) -> PreTrainedTokenizerBase:
        """Return the tokenizer; without a padding token, as in GPT-2, it pads with the end-of-sequence token."""
        tokenizer = super().load_tokenizer(checkpoint, **options)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model of the checkpoint; raise UserError if it lacks weights or a required argument."""
        from transformers import AutoModelForCausalLM

        model = load_weights(AutoModelForCausalLM, checkpoint, config, options)
        if missing := {"logits_to_keep", "position_ids"} - set(inspect.signature(model.forward).parameters):
            kind = type(model).__name__
            needs = f"does not accept {min(missing)}, which bisum needs"
            raise UserError(f"model.checkpoint: {kind} {needs}; choose another model")
        return model

    def check(self, reader: TextReader) -> None:
        """Refuse token limits that together exceed the model's positions, and a prompt without an instruction."""
        positions = getattr(reader.config, "max_position_embeddings", None)
        left = None if positions is None or positions < 0 else positions - reader.max_summary_tokens
        if left is not None and reader.max_document_tokens > left:
            raise UserError(
                f"model.max_document_tokens: {reader.max_document_tokens} and model.max_summary_tokens "
                f"{reader.max_summary_tokens} exceed the model's {positions} positions; {max(left, 0)} remain"
            )
        self.check_prompt(reader)

    def check_prompt(self, reader: TextReader) -> None:
        """Refuse a prompt without an instruction; a family whose `encode` writes the whole prompt overrides this."""
        if not is_chat(reader) and not reader.suffix.strip():
            raise UserError(
                "model.suffix: a decoder-only model needs a marker where the summary begins; model=gpt2 uses TL;DR:"
            )
        if not (reader.prefix + reader.suffix).strip():
            raise UserError("model.prefix: a chat model needs an instruction; model=qwen_instruct has one")
        _around(reader)

    def encode(
        self,
        reader: TextReader,
        documents: Sequence[str],
        summaries: Sequence[str],
        languages: Sequence[str],  # noqa: ARG002 - the prompt is the same for all
    ) -> dict[str, list[Any]]:
        """Tokenize prompts, with documents shortened to fit the limit, and the summaries that follow them."""
        tokenizer, in_chat = reader.tokenizer, is_chat(reader)
        blank = "" if in_chat or reader.suffix.endswith((" ", "\n", "\t")) else " "
        answers = [blank + summary.strip() if summary.strip() else "" for summary in summaries]
        targets = text_tokenizer(tokenizer)(answers, special=False)
        stripped = [document.strip() for document in documents]
        before, after = _around(reader)
        special = not in_chat  # a template adds its own
        prompts = encode_prompts(tokenizer, stripped, before, after, reader.max_document_tokens, special=special)
        end = tokenizer.eos_token_id
        return columns(prompts, [cut([*ids, end], reader.max_summary_tokens, end) for ids in targets])

    def model_inputs(
        self,
        config: PretrainedConfig,  # noqa: ARG002 - there is no start token
        documents: torch.Tensor,
        mask: torch.Tensor,
        labels: torch.Tensor,
        pad: int,
    ) -> dict[str, torch.Tensor]:
        """Return left-padded prompts followed by the summaries; request logits only for the summaries."""
        import torch

        summaries = labels[:, :-1]
        written = summaries != IGNORED_LABEL
        attention_mask = torch.cat([mask, written.long()], dim=1)
        first = documents.shape[1] - 1  # the prompt's last token predicts the summary's first
        return {
            "input_ids": torch.cat([documents, summaries.masked_fill(~written, pad)], dim=1),
            "attention_mask": attention_mask,
            "position_ids": (attention_mask.cumsum(dim=1) - 1).clamp(min=0),
            "logits_to_keep": torch.arange(first, first + labels.shape[1]),
        }

    def generate(
        self,
        model: PreTrainedModel,
        inputs: dict[str, torch.Tensor],
        config: GenerationConfig,
        states: torch.Tensor | None,  # noqa: ARG002 - there is no encoder
    ) -> torch.Tensor:
        """Return the tokens generated after the prompts; the ban on repeated n-grams ignores the prompts."""
        prompt = int(inputs["logits_to_keep"][0]) + 1
        config, processors = ban_repeated_ngrams(config, prompt)
        ids: torch.Tensor = model.generate(  # type: ignore[operator]
            input_ids=inputs["input_ids"][:, :prompt],
            attention_mask=inputs["attention_mask"][:, :prompt],
            generation_config=config,
            logits_processor=processors,
        )
        return ids[:, prompt:]


def is_chat(reader: TextReader) -> bool:
    """Return whether the prompt is a user's turn in the tokenizer's chat template."""
    return bool(str(reader.tokenizer.chat_template or "").strip())


def _around(reader: TextReader) -> tuple[str, str]:
    """Return the text before and after a document, including that of the chat template."""
    if not is_chat(reader):
        return reader.prefix, reader.suffix
    turns = [{"role": "user", "content": reader.prompt(_DOCUMENT)}]
    try:
        text = str(reader.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # jinja2 and the functions of a template can raise anything
        raise UserError(f"model.checkpoint: its chat template fails on a user turn ({reason(error)})") from error
    before, found, after = text.partition(_DOCUMENT)
    if not found or _DOCUMENT in after:
        raise UserError("model.checkpoint: its chat template does not contain the text of a user turn once, unchanged")
    return before, after
