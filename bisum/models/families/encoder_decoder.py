"""Encoder-decoder models with one source and one target text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bisum.errors import UserError
from bisum.interfaces.family import IGNORED_LABEL, Family
from bisum.models.decoding import ban_repeated_ngrams, end_tokens
from bisum.models.prompts import columns, cut, encode_prompts
from bisum.models.text_tokenizer import text_tokenizer
from bisum.models.weights import load_weights
from bisum.models.wordpiece import join_chinese

if TYPE_CHECKING:
    import torch
    from transformers import (
        GenerationConfig,
        LogitsProcessorList,
        PretrainedConfig,
        PreTrainedModel,
        PreTrainedTokenizerBase,
    )

    from bisum.interfaces.family import TextReader


@dataclass(frozen=True, kw_only=True)
class EncoderDecoder(Family):
    """Any encoder-decoder model of transformers whose decoder starts with the same token for all texts."""

    start_tokens: ClassVar[int] = 1
    """Number of decoder tokens before the first generated one, which can be a forced one."""
    shares_states: ClassVar[bool] = False
    """Whether generation can reuse the encoder's last hidden states; some models need further outputs."""

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model of the checkpoint; raise UserError if it lacks weights or the decoder's start token."""
        from transformers import AutoModelForSeq2SeqLM

        model = load_weights(AutoModelForSeq2SeqLM, checkpoint, config, options)
        if getattr(model.config, "decoder_start_token_id", None) is None:
            raise UserError(f"model.checkpoint: config.json of '{checkpoint}' has no decoder_start_token_id; add it")
        return model

    def check(self, reader: TextReader) -> None:
        """Refuse token limits above the model's positions."""
        of_encoder, of_decoder = position_limits(reader.config)
        limits = {
            "document": (reader.max_document_tokens, 0, of_encoder),
            "summary": (reader.max_summary_tokens, self.start_tokens - 1 + self.forced_tokens, of_decoder),
        }
        for key, (tokens, others, positions) in limits.items():
            if positions is not None and tokens + others > positions:
                reserved = f", {others} of them reserved" if others else ""
                raise UserError(f"model.max_{key}_tokens: {tokens} exceeds the model's {positions} positions{reserved}")

    def encode(
        self,
        reader: TextReader,
        documents: Sequence[str],
        summaries: Sequence[str],
        languages: Sequence[str],  # noqa: ARG002 - the encoding is the same for all
    ) -> dict[str, list[Any]]:
        """Tokenize documents as source text and summaries as target text.

        A summary always ends with the end-of-sequence token, since a model trained without it never stops, and never
        begins with the decoder's start token, which precedes the labels.
        """
        tokenizer, end = reader.tokenizer, reader.tokenizer.eos_token_id
        start = getattr(reader.config, "decoder_start_token_id", None)
        targets = text_tokenizer(tokenizer)(summaries, target=True)
        targets = [ids[1:] if ids[:1] == [start] and start != end else ids for ids in targets]
        return columns(
            self._sources(reader, documents, reader.max_document_tokens),
            [cut(ids if ids[-1:] == [end] else [*ids, end], reader.max_summary_tokens, end) for ids in targets],
        )

    def _sources(
        self, reader: TextReader, documents: Sequence[str], limit: int, *, special: bool = True
    ) -> list[tuple[list[int], bool]]:
        """Return the tokens of each document with prefix and suffix, and whether it was cut."""
        tokenizer = reader.tokenizer
        if reader.suffix:
            return encode_prompts(tokenizer, documents, reader.prefix, reader.suffix, limit, special=special)
        sources = text_tokenizer(tokenizer)(documents, reader.prefix, special=special)
        return [cut(ids, limit, tokenizer.eos_token_id) for ids in sources]

    def decode(self, tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor) -> list[str]:
        """Return the texts, without the spaces that a BERT tokenizer puts around Chinese characters."""
        return join_chinese(super().decode(tokenizer, ids), tokenizer)

    def model_inputs(
        self, config: PretrainedConfig, documents: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor, pad: int
    ) -> dict[str, torch.Tensor]:
        """Return the documents for the encoder, and the labels shifted right after a start token for the decoder."""
        from torch.nn import functional

        shifted = functional.pad(labels[:, :-1], (1, 0), value=config.decoder_start_token_id)
        decoder_input_ids = shifted.masked_fill(shifted == IGNORED_LABEL, pad)
        return {"input_ids": documents, "attention_mask": mask, "decoder_input_ids": decoder_input_ids}

    def generate(
        self,
        model: PreTrainedModel,
        inputs: dict[str, torch.Tensor],
        config: GenerationConfig,
        states: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return the tokens after each row's start and forced tokens; `states` saves encoding the documents again."""
        from transformers.modeling_outputs import BaseModelOutput

        from bisum.models.greedy import generate_greedily, is_plain_greedy

        starts, config, processors = self.decoding(inputs, config)
        first = starts.shape[1] + self.forced_tokens
        encoder_inputs: dict[str, Any] = {
            name: tensor for name, tensor in inputs.items() if name != "decoder_input_ids"
        }
        if self.shares_states and is_plain_greedy(config):
            if states is None:
                states = model.get_encoder()(**encoder_inputs).last_hidden_state
            return generate_greedily(model, states, inputs["attention_mask"], starts, config, processors)[:, first:]
        if self.shares_states and states is not None:
            encoder_inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=states)
        ids: torch.Tensor = model.generate(  # type: ignore[operator]
            **encoder_inputs,
            decoder_input_ids=starts,
            generation_config=config,
            logits_processor=processors,
        )
        return ids[:, first:]

    def decoding(
        self, inputs: dict[str, torch.Tensor], config: GenerationConfig
    ) -> tuple[torch.Tensor, GenerationConfig, LogitsProcessorList]:
        """Return the decoder's prompt, shape (rows, start_tokens), and the settings and processors of `generate`."""
        starts = inputs["decoder_input_ids"][:, : self.start_tokens]
        prompt_length = self.start_tokens if config.decoder_start_token_id in end_tokens(config.eos_token_id) else 0
        return starts, *ban_repeated_ngrams(config, prompt_length)


def position_limits(config: PretrainedConfig) -> tuple[int | None, int | None]:
    """Return the number of positions of a model's encoder and of its decoder; None: no limit is stated."""

    def stated(part: str) -> int | None:
        nested = getattr(config, part, None)  # T5Gemma; in T5Gemma 2, the encoder's text has its own again
        places = [config, nested, getattr(nested, "text_config", None)]
        names = (f"max_{part}_position_embeddings", "max_position_embeddings")  # the first in LED
        found = (getattr(place, name, None) for place in places if place is not None for name in names)
        return next((value for value in found if isinstance(value, int)), None)

    return stated("encoder"), stated("decoder")
