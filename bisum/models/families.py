"""The built-in model families, and the choice of a checkpoint's family.

Your own family is a class that inherits from one of these; set `model.family._target_` to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bisum.corpus.languages import tools_for
from bisum.errors import UserError
from bisum.interfaces.family import IGNORED_LABEL, Family
from bisum.models.decoder_only import DecoderOnly
from bisum.models.decoding import ban_repeated_ngrams, end_tokens, force_first_token
from bisum.models.prompts import columns, cut, encode_prompts
from bisum.models.weights import load_weights

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
    """Encoder-decoder models with one source and one target text, such as BART (Lewis et al. 2020)."""

    adapter_targets: ClassVar[tuple[str, ...] | Literal["all-linear"]] = (
        *("q_proj", "k_proj", "v_proj", "out_proj"),
        *("fc1", "fc2"),
    )
    start_tokens: ClassVar[int] = 1
    """Number of decoder tokens before the first generated one, which can be a forced one."""

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model of the checkpoint; raise UserError if it lacks weights or the decoder's start token."""
        from transformers import AutoModelForSeq2SeqLM

        model = load_weights(AutoModelForSeq2SeqLM, checkpoint, config, options)
        if model.config.decoder_start_token_id is None:
            model.config.decoder_start_token_id = getattr(model.generation_config, "decoder_start_token_id", None)
        if model.config.decoder_start_token_id is None:
            raise UserError(f"model.checkpoint: config.json of '{checkpoint}' has no decoder_start_token_id")
        return model

    def check(self, reader: TextReader) -> None:
        """Refuse token limits above the model's positions."""
        positions = getattr(reader.config, "max_position_embeddings", None)
        if positions is None:
            return
        limits = {
            "document": (reader.max_document_tokens, 0),
            "summary": (reader.max_summary_tokens, self.start_tokens - 1 + self.forced_tokens),
        }
        for key, (tokens, others) in limits.items():
            if tokens + others > positions:
                reserved = f", {others} of them reserved" if others else ""
                raise UserError(f"model.max_{key}_tokens: {tokens} exceeds the model's {positions} positions{reserved}")

    def encode(
        self,
        reader: TextReader,
        documents: Sequence[str],
        summaries: Sequence[str],
        languages: Sequence[str],  # noqa: ARG002 - the encoding is the same for all
    ) -> dict[str, list[Any]]:
        """Tokenize documents as source text and summaries as target text."""
        tokenizer, end = reader.tokenizer, reader.tokenizer.eos_token_id
        targets = tokenizer(text_target=list(summaries), return_attention_mask=False)["input_ids"]
        return columns(
            self._sources(reader, documents, reader.max_document_tokens),
            [cut(ids, reader.max_summary_tokens, end) for ids in targets],
        )

    def _sources(
        self, reader: TextReader, documents: Sequence[str], limit: int, *, special: bool = True
    ) -> list[tuple[list[int], bool]]:
        """Return the tokens of each document with prefix and suffix, and whether it was cut."""
        tokenizer, options = reader.tokenizer, {"add_special_tokens": special, "return_attention_mask": False}
        if reader.suffix:
            return encode_prompts(tokenizer, documents, reader.prompt, limit, **options)
        sources = tokenizer([reader.prompt(document) for document in documents], **options)["input_ids"]
        return [cut(ids, limit, tokenizer.eos_token_id) for ids in sources]

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
        """Return the tokens after each row's start and forced tokens; `states` avoid encoding the document again."""
        from transformers.modeling_outputs import BaseModelOutput

        starts, config, processors = self.decoding(inputs, config)
        encoded = {} if states is None else {"encoder_outputs": BaseModelOutput(last_hidden_state=states)}
        ids: torch.Tensor = model.generate(  # type: ignore[operator]
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            decoder_input_ids=starts,
            generation_config=config,
            logits_processor=processors,
            **encoded,
        )
        return ids[:, starts.shape[1] + self.forced_tokens :]

    def decoding(
        self, inputs: dict[str, torch.Tensor], config: GenerationConfig
    ) -> tuple[torch.Tensor, GenerationConfig, LogitsProcessorList]:
        """Return the decoder's prompt, shape (rows, start_tokens), and the settings and processors of `generate`."""
        starts = inputs["decoder_input_ids"][:, : self.start_tokens]
        prompt_length = self.start_tokens if config.decoder_start_token_id in end_tokens(config.eos_token_id) else 0
        return starts, *ban_repeated_ngrams(config, prompt_length)


@dataclass(frozen=True, kw_only=True)
class T5(EncoderDecoder):
    """T5 (Raffel et al. 2020), mT5 (Xue et al. 2021) and related models."""

    adapter_targets: ClassVar[tuple[str, ...] | Literal["all-linear"]] = (
        "q",
        "k",
        "v",
        "o",
        "wi",
        "wi_0",
        "wi_1",
        "wo",
    )

    def load_model(self, checkpoint: str, config: PretrainedConfig, **options: Any) -> PreTrainedModel:
        """Return the model; a separate head, as in mT5 and T5 v1.1, stays separate.

        transformers' MT5Config declares the head tied, so resizing or re-tying would overwrite it with the embedding.
        This corrects the flag on the loaded model.
        """
        model = super().load_model(checkpoint, config, **options)
        head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if head.weight is not embedding.weight:
            model.config.tie_word_embeddings = False
        return model

    def precision_problem(self, precision: str) -> str | None:
        """Return why fp16 fails: activations of models trained in bf16 overflow its range."""
        if precision == "fp16":
            return "T5-family activations overflow fp16 and the loss becomes NaN; use bf16 or float32"
        return None

    def suppressed_tokens(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> list[int]:
        """Return the sentinels of pretraining and the ids that only pad the vocabulary."""
        sentinels = [at for token, at in tokenizer.get_vocab().items() if re.fullmatch(r"▁?<extra_id_\d+>", token)]
        return sorted({*sentinels, *range(len(tokenizer), vocabulary)})


@dataclass(frozen=True, kw_only=True)
class Pegasus(EncoderDecoder):
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


@dataclass(frozen=True, kw_only=True)
class MBart50(EncoderDecoder):
    """mBART-50 (Tang et al. 2020): `[language] text </s>` on both sides; the decoder starts with `</s>`.

    As in transformers, the loss includes the language token, and generation forces it as the first token, so it
    counts toward the length that normalizes beams. Unlike `forced_bos_token_id`, each row of a batch has its own.
    `model.max_summary_tokens`, `generation.min_tokens` and `eval/gen_len` do not count it.
    """

    needs_language: ClassVar[bool] = True
    forced_tokens: ClassVar[int] = 1

    def check(self, reader: TextReader) -> None:
        """Also refuse a tokenizer without language tokens."""
        super().check(reader)
        if (kind := type(reader.tokenizer).__name__) != "MBart50Tokenizer":
            raise UserError(f"model.checkpoint: its tokenizer is a {kind}; mBART-50 needs MBart50Tokenizer")

    def encode(
        self, reader: TextReader, documents: Sequence[str], summaries: Sequence[str], languages: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Tokenize each row in its own language, regardless of the tokenizer's current language."""
        tokenizer, end = reader.tokenizer, reader.tokenizer.eos_token_id
        codes = {language: self._token(tokenizer, language) for language in dict.fromkeys(languages)}
        starts = [codes[language] for language in languages]
        sources = self._sources(reader, documents, reader.max_document_tokens - 2, special=False)
        targets = tokenizer(list(summaries), add_special_tokens=False, return_attention_mask=False)["input_ids"]
        shortened = [cut(ids, reader.max_summary_tokens - 1, None) for ids in targets]
        return columns(
            [([start, *ids, end], was_cut) for start, (ids, was_cut) in zip(starts, sources, strict=True)],
            [([start, *ids, end], was_cut) for start, (ids, was_cut) in zip(starts, shortened, strict=True)],
        )

    def decoding(
        self, inputs: dict[str, torch.Tensor], config: GenerationConfig
    ) -> tuple[torch.Tensor, GenerationConfig, LogitsProcessorList]:
        """Return the decoder's prompt, and the settings and processors, which force each row's language."""
        starts, config, processors = super().decoding(inputs, config)
        languages = inputs["decoder_input_ids"][:, self.start_tokens]
        processors.append(force_first_token(languages, self.start_tokens))
        return starts, config, processors

    @staticmethod
    def _token(tokenizer: PreTrainedTokenizerBase, language: str) -> int:
        """Return the id of a language's token, such as `en_XX` for `en`, `eng` or `en-US`."""
        tokens: dict[str, int] = tokenizer.lang_code_to_id
        by_language = {tools_for(token).language: at for token, at in tokens.items()}
        code = tools_for(language).language
        at = tokens.get(language.replace("-", "_")) or (by_language.get(code) if code else None)
        if at is None:
            known = ", ".join(sorted(filter(None, by_language)))
            raise UserError(f"languages: mBART-50 does not support '{language}'; choose from {known}")
        return at


FAMILIES: dict[str, Family] = {
    "t5": T5(),
    "mt5": T5(),
    "longt5": T5(),
    "bart": EncoderDecoder(),
    "mbart": MBart50(),
    "pegasus": Pegasus(),
    "gpt2": DecoderOnly(),
}
"""Family of each `model_type` of a checkpoint's config.json; their class identifies other decoder-only models."""


def family_of(config: PretrainedConfig, checkpoint: str) -> Family:
    """Return the family of a model by its `model_type`, or of any causal language model by its architecture.

    Raises:
        UserError: no family supports the model.
    """
    if (family := FAMILIES.get(config.model_type)) is not None:
        return family
    if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or []):
        return DecoderOnly()
    raise UserError(
        f"model.checkpoint: '{checkpoint}' is a '{config.model_type}' model, which no family supports "
        f"(supported: {', '.join(FAMILIES)} and any causal language model); "
        "set model.family._target_ to a class of your own"
    )
