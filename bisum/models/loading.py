"""Model loading, from a checkpoint or an architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from bisum.config.model_source import located
from bisum.config.options import ModelOptions
from bisum.errors import UserError, one_line
from bisum.interfaces.architecture import Architecture
from bisum.interfaces.family import Family, TextReader
from bisum.interfaces.progress import ShowProgress
from bisum.models.families import family_of
from bisum.models.fitting import check_config, check_token_ids, check_tokenizer
from bisum.models.hub import fetch
from bisum.models.prompt import read_prompt, write_prompt
from bisum.models.weights import find_non_finite

T = TypeVar("T")

_EXPLANATIONS = {
    "Expected Union[Tuple[str": "its tokenizer lacks a token that it adds to texts, such as its eos_token",
    "`tiktoken` is required": "its tokenizer file is damaged or of an unknown kind",
    "Weights only load failed": "its pickled weights are damaged or contain more than weights",
}
"""Explanations of library errors whose messages contain the key and misleading advice."""
TOKENIZER_FILES = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt")


@dataclass(frozen=True)
class LoadedModel(TextReader):
    """A model and the reader of its texts."""

    model: PreTrainedModel

    @property
    def parameters(self) -> int:
        """Number of trainable weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @cached_property
    def suppressed_tokens(self) -> list[int]:
        """Ids of the tokens that a summary must not contain; cached, since a large vocabulary takes almost a second."""
        return self.family.suppressed_tokens(self.tokenizer, self.model.config.vocab_size)

    def save(self, directory: Path) -> None:
        """Write safetensors, configuration and tokenizer to a directory that `from_pretrained` can read."""
        state = self.model.state_dict(keep_vars=True)
        on_cpu = {id(tensor): tensor.detach().cpu() for tensor in state.values()}  # shared weights stay shared
        state = {name: on_cpu[id(tensor)] for name, tensor in state.items()}
        self.model.save_pretrained(directory, state_dict=state, max_shard_size="1TB")
        self.tokenizer.save_pretrained(directory)


def load(options: ModelOptions, seed: int, precision: str, progress: ShowProgress | None = None) -> LoadedModel:
    """Return the model that `options` name, with float32 weights on the CPU.

    `seed` determines random weights. Only safetensors are read, unless the options allow pickles, and no remote code is
    run. `progress` shows the progress of a download.

    Raises:
        UserError: the checkpoint is missing or supported by no family, cannot run in `precision`, has fewer positions
            than `max_document_tokens`, or contains a non-finite weight.
    """
    if options.checkpoint is None:
        architecture, tokenizer = _architecture(options)
        torch.manual_seed(seed)
        model = architecture.build_model(tokenizer)
        reader = _reader(options, model.config, lambda _: tokenizer, precision)
    else:
        checkpoint, config = _checkpoint(options, weights=True, progress=progress)
        reader = _reader(options, config, partial(_load_tokenizer, checkpoint, options.revision), precision)
        model = _load_model(reader, checkpoint, options)
    if problem := find_non_finite(model.named_parameters()):  # buffers can contain -inf, to ban tokens
        key = f"checkpoint: '{checkpoint}'" if options.checkpoint else "architecture: its model"
        raise UserError(f"model.{key} has non-finite weights: {problem}")
    write_prompt(model.config, reader.prefix, reader.suffix)
    return LoadedModel(**{**vars(reader), "config": model.config}, model=model)


def check_model(options: ModelOptions, precision: str) -> None:
    """Check the model that `options` name as `load` does, without reading the values of its weights.

    The check is fast, so it runs before the corpus is read. The weights of a hub model that is not cached are checked
    after their download.

    Raises:
        UserError: see `load`.
    """
    if options.checkpoint is None:
        _blueprint(options, precision)
        return
    checkpoint, config = _checkpoint(options)
    reader = _reader(options, config, partial(_load_tokenizer, checkpoint, options.revision), precision)
    if located(options.checkpoint) == checkpoint or any(Path(checkpoint).glob("*.safetensors")):
        _load_model(reader, checkpoint, options, device_map="meta")


def _load_model(reader: TextReader, checkpoint: str, options: ModelOptions, **further: Any) -> PreTrainedModel:
    """Return the model in a local folder; `further` are options of `from_pretrained`."""
    weights = {**_weight_options(checkpoint, options), **further}
    load = reader.family.load_model
    model = _reading("model.checkpoint", checkpoint, lambda: load(checkpoint, reader.config, **weights))
    file = "generation_config.json"
    file = file if (Path(checkpoint) / file).is_file() else "config.json"
    check_token_ids(model.generation_config, getattr(reader.config, "vocab_size", None), file)
    return model


def load_reader(options: ModelOptions) -> TextReader:
    """Return the reader of the model that `options` name, without reading or initializing weights.

    Raises:
        UserError: see `load`; `NotOnHub` if the hub cannot provide the model.
    """
    if options.checkpoint is None:
        return _blueprint(options)
    checkpoint, config = _checkpoint(options)
    return _reader(options, config, partial(_load_tokenizer, checkpoint, options.revision))


def _blueprint(options: ModelOptions, precision: str = "float32") -> TextReader:
    """Return the reader of an architecture, without initializing its weights."""
    architecture, tokenizer = _architecture(options)
    with torch.device("meta"):
        config = architecture.build_model(tokenizer).config
    return _reader(options, config, lambda _: tokenizer, precision)


def _architecture(options: ModelOptions) -> tuple[Architecture, PreTrainedTokenizerBase]:
    assert options.architecture is not None
    return options.architecture, _reading("model.architecture", "its tokenizer", options.architecture.load_tokenizer)


def _checkpoint(
    options: ModelOptions, *, weights: bool = False, progress: ShowProgress | None = None
) -> tuple[str, PretrainedConfig]:
    """Return the local folder of the model and its configuration."""
    given = str(options.checkpoint)
    checkpoint = located(given)
    if given.startswith(("/", ".", "~")) and not Path(checkpoint).is_dir():
        raise UserError(f"model.checkpoint: no such directory: '{checkpoint}'")
    if not Path(checkpoint).is_dir():
        pickles = weights and options.pickled_weights
        checkpoint = str(fetch(given, options.revision, "model.checkpoint", weights, pickles, progress))
    return checkpoint, _load_config(checkpoint, options.revision)


def _reader(
    options: ModelOptions,
    config: PretrainedConfig,
    load_tokenizer: Callable[[Family], PreTrainedTokenizerBase],
    precision: str = "float32",
) -> TextReader:
    """Return the reader of a model with `config`, after checking its family and limits."""
    source = located(options.checkpoint) if options.checkpoint else "model.architecture"
    family = options.family or family_of(config, source)
    if problem := family.precision_problem(precision):
        raise UserError(f"hardware.precision: {problem}")
    prefix, suffix = read_prompt(config)
    tokenizer = load_tokenizer(family)
    check_tokenizer(tokenizer, config, "model.checkpoint" if options.checkpoint else "model.architecture")
    reader = TextReader(
        tokenizer=tokenizer,
        family=family,
        config=config,
        prefix=prefix if options.prefix is None else options.prefix,
        suffix=suffix if options.suffix is None else options.suffix,
        max_document_tokens=options.max_document_tokens,
        max_summary_tokens=options.max_summary_tokens,
    )
    family.check(reader)
    return reader


def _load_config(checkpoint: str, revision: str | None) -> PretrainedConfig:
    if Path(checkpoint).is_dir() and not (Path(checkpoint) / "config.json").is_file():
        if saved := sorted(path.name for path in Path(checkpoint).glob("checkpoints/epoch-*")):
            hint = f"use one of its checkpoints: {', '.join(saved)}"
            raise UserError(f"model.checkpoint: '{checkpoint}' is a run directory, not a checkpoint; {hint}")
        found = sorted(path.name for path in Path(checkpoint).iterdir())[:8]
        raise UserError(
            f"model.checkpoint: '{checkpoint}' contains no config.json (found: {', '.join(found) or 'nothing'})"
        )

    def read() -> PretrainedConfig:
        config: PretrainedConfig = AutoConfig.from_pretrained(checkpoint, revision=revision, trust_remote_code=False)
        return config

    config = _reading("model.checkpoint", checkpoint, read)
    check_config(config)
    config.return_dict = True  # a checkpoint can disable it
    check_token_ids(config, getattr(config, "vocab_size", None), "config.json")
    return config


def _weight_options(checkpoint: str, options: ModelOptions) -> dict[str, Any]:
    """Return `from_pretrained`'s options; weights are float32 regardless of the checkpoint's type."""
    folder = Path(checkpoint)
    if folder.is_dir() and not options.pickled_weights and not list(folder.glob("*.safetensors")):
        raise UserError(
            f"model.checkpoint: '{folder}' contains no *.safetensors; "
            "write them with save_pretrained, or add model.pickled_weights=true if you trust its pytorch_model.bin"
        )
    pickled = {"use_safetensors": None if options.pickled_weights else True, "weights_only": True}
    return {"revision": options.revision, "dtype": torch.float32, **pickled, "trust_remote_code": False}


def _load_tokenizer(checkpoint: str, revision: str | None, family: Family) -> PreTrainedTokenizerBase:
    folder = Path(checkpoint)
    if folder.is_dir() and not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise UserError(f"model.checkpoint: '{checkpoint}' contains no tokenizer (one of {', '.join(TOKENIZER_FILES)})")
    options = {"revision": revision, "trust_remote_code": False}
    return _reading("model.checkpoint", checkpoint, lambda: family.load_tokenizer(checkpoint, **options))


def _reading(key: str, source: str, read: Callable[[], T]) -> T:
    """Return the result of `read`; turn its errors into a one-line UserError."""
    try:
        return read()
    except UserError:
        raise
    except Exception as error:  # transformers, safetensors and tokenizers raise different types
        own = next((ours for theirs, ours in _EXPLANATIONS.items() if theirs in str(error)), str(error))
        raise UserError(f"{key}: '{source}' cannot be loaded: {one_line(own)[:300]}") from error
