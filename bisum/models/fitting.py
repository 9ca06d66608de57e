"""Consistency checks of a checkpoint's files, made before any text is read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bisum.config.options import MAX_NGRAM_SIZE
from bisum.errors import UserError
from bisum.models.text_tokenizer import text_tokenizer

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedTokenizerBase

_TOKEN_IDS = ("pad_token_id", "eos_token_id", "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id")
_MAX_PARTS = 10_000
"""Maximum number of layers, or labels, of a model."""


def complete_tokenizer(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> None:
    """Set a tokenizer's `eos_token` to the end token of the configuration, if it ends each text with that.

    A BERT tokenizer ends a text with `[SEP]`, but has no `eos_token`, or one that it never writes and the model lacks,
    such as the `[EOS]` of bart-base-chinese, whose config.json names `[SEP]`.
    """
    end = getattr(config, "eos_token_id", None)
    if type(end) is int and tokenizer.eos_token_id != end and tokenizer("")["input_ids"][-1:] == [end]:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, key: str) -> None:
    """Raise UserError for a tokenizer that lacks a required token or has tokens that the model lacks.

    `key` is the configuration key that names the model.
    """
    kind = type(tokenizer).__name__
    templates = tokenizer.chat_template if isinstance(tokenizer.chat_template, dict) else {}
    if invalid := [name for name in templates if not re.fullmatch(r"[\w-]+", str(name))]:  # they become file names
        raise UserError(f"{key}: its tokenizer has a chat template named {invalid[0]!r}; use letters, digits, - and _")
    for name, use in (("eos_token", "ends a summary"), ("pad_token", "pads the rows of a batch")):
        if not getattr(tokenizer, name):
            lacks = f"has no {name}, which {use}"
            raise UserError(f"{key}: its tokenizer, a {kind}, {lacks}; set it in tokenizer_config.json")
    tokens = tokenizer.get_vocab()
    if not tokens.keys() - text_tokenizer(tokenizer).special.values() - {tokenizer.unk_token, "▁"}:
        add = "add its vocabulary file, such as tokenizer.json or spiece.model"
        raise UserError(f"{key}: its tokenizer, a {kind}, has only special tokens; {add}")
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    unused = special - set(tokenizer.all_special_tokens)  # no text contains them
    highest = max(at for token, at in tokens.items() if token not in unused)
    vocabulary = getattr(config.get_text_config(decoder=True), "vocab_size", None)
    if vocabulary is not None and highest >= vocabulary:
        raise UserError(
            f"{key}: its tokenizer, a {kind}, does not match the model: its highest token id is {highest}, "
            f"but the model's vocab_size is {vocabulary}"
        )


def check_config(config: PretrainedConfig) -> None:
    """Raise UserError for a config.json that makes transformers fetch code, hang or read non-float weights."""
    for name, value in [*_entries(config.to_dict()), ("attn_implementation", config._attn_implementation)]:
        if type(value) is int and value > _MAX_PARTS and ("layers" in name or name == "num_labels"):
            raise UserError(f"model.checkpoint: {name} in its config.json is {value:,}; the limit is {_MAX_PARTS:,}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"model.checkpoint: {name} in its config.json is {value}; must be a finite number")
        if name.endswith(("attn_implementation", "experts_implementation")) and "/" in str(value):
            raise UserError(
                f"model.checkpoint: {name} in its config.json is '{value}', a kernel from the hub, which is code; "
                "remove the entry"
            )
    if any(name == "quantization_config" and value is not None for name, value in _entries(config.to_dict())):
        raise UserError(
            "model.checkpoint: its config.json has a quantization_config; bisum needs float32 weights, so use the "
            "original, unquantized model"
        )


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a config.json, including those of the parts of a model."""
    for name, value in config.items():
        yield str(name), value
        if isinstance(value, Mapping):
            yield from _entries(value)


def check_token_ids(stated: PretrainedConfig | GenerationConfig, vocabulary: int | None, file: str) -> None:
    """Raise UserError for a special token in `file` that is not among the model's `vocabulary` tokens."""
    for name in _TOKEN_IDS:
        value = getattr(stated, name, None)
        for at in value if name == "eos_token_id" and isinstance(value, list) else [value]:
            if at is not None and (type(at) is not int or not 0 <= at < (vocabulary or at + 1)):
                raise UserError(
                    f"model.checkpoint: {name} in its {file} is {value!r}; must be a token id"
                    f"{f' below {vocabulary}' if vocabulary else ''}"
                )


def check_ngram_size(stated: GenerationConfig, file: str) -> None:
    """Raise UserError if the length of banned n-grams in `file` is not one that the configuration allows."""
    value = stated.no_repeat_ngram_size
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_NGRAM_SIZE):
        raise UserError(
            f"model.checkpoint: no_repeat_ngram_size in its {file} is {value!r}; must be a whole number from 0 to "
            f"{MAX_NGRAM_SIZE:,}"
        )
