"""Pretrained encoders for metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from bisum.errors import UserError, one_line
from bisum.interfaces.progress import ShowProgress
from bisum.models import folders
from bisum.models.fitting import check_config
from bisum.models.hub import TOKENIZER_FILES
from bisum.models.source import has_tokenizer
from bisum.models.weights import find_non_finite, load_weights

_MAX_CARD_CHARACTERS = 30_000
"""Maximum characters read from a model card, which can come from anyone."""
_MAX_LANGUAGES = 1000
_MAX_CODE_LENGTH = 50


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder in evaluation mode, with float32 weights."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int
    """Maximum tokens of an input, including special tokens."""

    def batches(
        self, texts: Sequence[str], claims: Sequence[str] | None, size: int
    ) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
        """Yield the indices and model inputs, shape (rows, tokens), of texts in batches of similar length.

        `claims` are the second texts of pairs. Inputs that are too long are cut at the end; pairs, at the end of the
        longer text.
        """
        options: dict[str, Any] = {"truncation": True, "max_length": self.max_tokens}
        encoded = self.tokenizer(list(texts), claims and list(claims), **options, return_special_tokens_mask=True)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        order = sorted(range(len(texts)), key=lambda row: -lengths[row])
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            columns = {name: [values[row] for row in rows] for name, values in encoded.items()}
            inputs = self.tokenizer.pad(columns, return_tensors="pt")
            yield rows, {name: tensor.to(self.model.device) for name, tensor in inputs.items()}


def torch_device(name: Literal["auto", "cpu", "gpu", "tpu"]) -> torch.device:
    """Return the device for a metric's encoder: the GPU for gpu, and for auto if available; otherwise the CPU.

    Raises:
        UserError: `name` is gpu, but no GPU is available.
    """
    if name == "gpu" and not torch.cuda.is_available():
        raise UserError(f"device: torch {torch.__version__} found no usable GPU; choose cpu")
    return torch.device("cuda" if name in ("auto", "gpu") and torch.cuda.is_available() else "cpu")


@lru_cache(maxsize=4)
def load_encoder(
    auto_model: Any, checkpoint: str, revision: str | None, device: torch.device, **changes: Any
) -> Encoder:
    """Load an encoder from a directory, `pkg://PACKAGE` or the hub; read only safetensors and run no code.

    Args:
        auto_model: the transformers auto class that loads the model.
        checkpoint: the directory, `pkg://PACKAGE` or hub name of the model.
        revision: its commit on the hub.
        device: where the model runs.
        changes: replacements for entries of its config.json.

    Raises:
        UserError: the checkpoint cannot be loaded.
    """
    folder = folder_of(checkpoint, revision)
    if not has_tokenizer(Path(folder)):
        raise UserError(f"checkpoint: '{checkpoint}' contains no tokenizer (any of {', '.join(TOKENIZER_FILES)})")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        check_config(config)
        if config.is_encoder_decoder:
            raise UserError(f"checkpoint: '{checkpoint}' is an encoder-decoder model; use an encoder such as BERT")
        if changes.get("num_hidden_layers", 0) > config.num_hidden_layers:
            raise UserError(f"layer: '{checkpoint}' has only {config.num_hidden_layers} layers")
        for name, value in changes.items():
            setattr(config, name, value)
        options = {"use_safetensors": True, "dtype": torch.float32, "trust_remote_code": False}
        with _without_load_report():
            model = load_weights(auto_model, folder, config, options)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except UserError as error:
        raise UserError(str(error).removeprefix("model.")) from error
    except Exception as error:  # transformers, safetensors and tokenizers raise different types
        raise UserError(f"checkpoint: '{checkpoint}' cannot be loaded: {one_line(error)[:300]}") from error
    if problem := find_non_finite(model.named_parameters()):
        raise UserError(f"checkpoint: '{checkpoint}' has non-finite weights: {problem}")
    model.eval().to(device)
    return Encoder(model, tokenizer, _max_tokens(config, tokenizer))


@cache
def card_languages(checkpoint: str, revision: str | None) -> tuple[str, ...]:
    """Return the languages in the metadata of a model's card, its README.md; empty if it states none."""
    from huggingface_hub import ModelCard

    path = Path(folder_of(checkpoint, revision), "README.md")
    if not path.is_file():  # opening a pipe would block
        return ()
    try:
        card = ModelCard(path.read_text(encoding="utf-8")[:_MAX_CARD_CHARACTERS], ignore_metadata_errors=True)
        metadata: Any = card.data
        found = metadata.get("language")
    except Exception:  # a malformed card
        return ()
    codes = found[:_MAX_LANGUAGES] if isinstance(found, list) else [found]
    codes = ["no" if code is False else code for code in codes]  # YAML reads the code of Norwegian as false
    return tuple(code for code in codes if isinstance(code, str) and len(code) <= _MAX_CODE_LENGTH)


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Keep transformers from listing unused weights, such as a head's, for the block."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


_folders: dict[tuple[str, str | None], str] = {}
"""Local folders of the checkpoints found so far; the hub is queried once for each."""


def folder_of(checkpoint: str, revision: str | None, progress: ShowProgress | None = None) -> str:
    """Return the local folder of an encoder, after downloading it if necessary.

    Raises:
        UserError: the checkpoint does not exist, or the hub is unreachable.
    """
    if (checkpoint, revision) not in _folders:
        found = folders.folder_of("checkpoint", checkpoint, revision, True, False, progress, further=("README.md",))
        _folders[checkpoint, revision] = str(found)
    return _folders[checkpoint, revision]


def _max_tokens(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the model's maximum tokens; RoBERTa's positions start after the padding token's id."""
    positions = int(getattr(config, "max_position_embeddings", None) or 512)
    offset = (config.pad_token_id or 0) + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    return min(positions - offset, int(min(tokenizer.model_max_length, 10**6)))
