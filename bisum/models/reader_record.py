"""The record of a model's reader, from which it is restored without torch."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from bisum.config.options import ModelOptions
from bisum.interfaces.family import TextReader
from bisum.models import families
from bisum.models.families.encoder_decoder import position_limits
from bisum.models.prompt import read_prompt
from bisum.models.reader import checked_reader

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def record_reader(reader: TextReader, folder: Path) -> dict[str, Any]:
    """Return what `restored_reader` needs to restore the reader of an encoder-decoder in a folder, as JSON.

    Raises:
        ValueError: its tokenizer cannot be restored in the same state.
    """
    tokenizer, config = reader.tokenizer, reader.config
    of_encoder, of_decoder = position_limits(config)
    record = {
        "family": type(reader.family).__name__,
        "tokenizer": [type(tokenizer).__module__, type(tokenizer).__qualname__],
        "end": tokenizer.eos_token,
        "config": {
            "model_type": config.model_type,
            "decoder_start_token_id": config.decoder_start_token_id,
            "max_encoder_position_embeddings": of_encoder,
            "max_decoder_position_embeddings": of_decoder,
        },
    }
    if _state(_load_tokenizer(record, folder)) != _state(tokenizer):
        raise ValueError(f"its {type(tokenizer).__name__} depends on more than its files")
    return record


def restored_reader(record: Mapping[str, Any], folder: Path, options: ModelOptions) -> TextReader:
    """Return the reader that a record describes; `folder` contains the model's files.

    Raises:
        UserError: the model does not support the limits or the prompt of `options`.
    """
    stated = json.loads((folder / "config.json").read_text("utf-8")).get("task_specific_params")
    config: Any = SimpleNamespace(**record["config"], task_specific_params=stated)
    prompt = read_prompt(config)
    family = getattr(families, record["family"])()
    return checked_reader(_load_tokenizer(record, folder), family, config, options, prompt)


def _load_tokenizer(record: Mapping[str, Any], folder: Path) -> PreTrainedTokenizerBase:
    """Return a tokenizer of the recorded class, which must be one of transformers.

    transformers' `AutoTokenizer` would choose the class, but imports torch.
    """
    from transformers.tokenization_utils_base import PreTrainedTokenizerBase

    module, name = record["tokenizer"]
    kind = getattr(importlib.import_module(module), name) if module.startswith("transformers.") else None
    if not (isinstance(kind, type) and issubclass(kind, PreTrainedTokenizerBase)):
        raise ValueError(f"{module}.{name} is not a tokenizer of transformers")
    tokenizer = cast(PreTrainedTokenizerBase, kind.from_pretrained(str(folder)))
    if tokenizer.eos_token != record["end"]:
        tokenizer.eos_token = record["end"]
    return tokenizer


def _state(tokenizer: PreTrainedTokenizerBase) -> tuple[Any, ...]:
    """Return what determines the ids and texts of a tokenizer."""
    backend = tokenizer.backend_tokenizer.to_str() if tokenizer.is_fast else None
    added = {at: repr(token) for at, token in tokenizer.added_tokens_decoder.items()}
    settings = (tokenizer.special_tokens_map, tokenizer.all_special_ids, getattr(tokenizer, "lang_code_to_token", None))
    spaces = getattr(tokenizer, "clean_up_tokenization_spaces", None)
    return type(tokenizer), backend, added, settings, spaces, tokenizer.get_vocab()
