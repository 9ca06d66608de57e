"""The local folders of a model's files: a checkpoint's own, or an adapter's and those of its base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from transformers import AutoConfig, GenerationConfig, PretrainedConfig, PreTrainedTokenizerBase
from transformers.utils import GENERATION_CONFIG_NAME

from bisum.config.model_source import SCHEME, located
from bisum.config.options import ModelOptions
from bisum.errors import UserError, one_line
from bisum.interfaces.family import Family, TextReader
from bisum.interfaces.progress import ShowProgress
from bisum.models.adapter_base import Base
from bisum.models.adapter_files import AdapterFiles, read_adapter
from bisum.models.fitting import check_config, check_token_ids
from bisum.models.folders import folder_of
from bisum.models.hub import PICKLES, SAFETENSORS, TOKENIZER_FILES, commit_of
from bisum.models.vocabulary.weights import vocabulary_size
from bisum.runs.checkpoints import is_adapter

T = TypeVar("T")

_EXPLANATIONS = {
    "Expected Union[Tuple[str": "its tokenizer lacks a token that it adds to texts, such as its eos_token",
    "expected str, bytes or os.PathLike object, not NoneType": "a file of its tokenizer is missing",
    'NOT_FOUND: "None"': "a file of its tokenizer is missing",
    "Either model_file or model_proto": "a file of its tokenizer is missing",
    "`tiktoken` is required": "its tokenizer file is damaged or of an unknown kind",
    "Weights only load failed": "its pickled weights are damaged or contain more than weights",
}
"""Explanations of library errors whose messages contain the key and misleading advice."""


@dataclass(frozen=True)
class Source:
    """The files of a pretrained model."""

    folder: Path
    """The checkpoint's folder."""
    weights: Path
    """The folder of the whole model's weights: the checkpoint's own, or that of an adapter's base."""
    config: PretrainedConfig
    adapter: AdapterFiles | None
    """The adapter in the checkpoint's folder; None if that contains a whole model."""
    base_config: PretrainedConfig | None
    """The configuration of the base of an adapter whose run trimmed the vocabulary; None for other models."""
    has_weights: bool
    """Whether the weights must be in their folder; False: they are not downloaded yet."""

    @property
    def weights_key(self) -> str:
        """The key that names the folder of the weights."""
        return "model.checkpoint" if self.adapter is None else "model.base"

    def load_tokenizer(self, family: Family) -> PreTrainedTokenizerBase:
        """Return the tokenizer in the checkpoint's folder; an adapter without one has its base's."""
        folder, key = self.folder, "model.checkpoint"
        if not has_tokenizer(folder):
            folder, key = self.weights, self.weights_key
        if not has_tokenizer(folder):
            raise UserError(f"{key}: '{folder}' contains no tokenizer (any of {', '.join(TOKENIZER_FILES)})")
        return reading(key, str(folder), lambda: family.load_tokenizer(str(folder), trust_remote_code=False))

    def kept_pieces(self, reader: TextReader) -> list[int]:
        """Return the ids, in the base's vocabulary, of the pieces that an adapter's own tokenizer has."""
        load = reader.family.load_tokenizer
        base = reading("model.base", str(self.weights), lambda: load(str(self.weights), trust_remote_code=False))
        own, of_base = reader.tokenizer.get_vocab(), base.get_vocab()
        kept = [of_base.get(piece, -1) for piece in sorted(own, key=own.__getitem__)]
        if len(kept) != vocabulary_size(self.config) or min(kept) < 0 or kept != sorted(set(kept)):
            raise UserError(
                f"model.checkpoint: the tokenizer of '{self.folder}' is not a trimmed copy of that of its base "
                f"'{self.weights}'; set model.base to the base it was trained on"
            )
        return kept


def find_source(options: ModelOptions, *, weights: bool = False, progress: ShowProgress | None = None) -> Source:
    """Return the local files of the checkpoint that `options` name, downloading them if necessary.

    Args:
        options: the model's options, with a checkpoint.
        weights: whether to download the weights, too.
        progress: shows the progress of a download.

    Raises:
        UserError: the checkpoint, or the base of an adapter, is missing, unreadable or inconsistent.
    """

    def find(key: str, given: str, revision: str | None) -> Path:
        return folder_of(key, given, revision, weights, weights and options.pickled_weights, progress)

    folder = find("model.checkpoint", str(options.checkpoint), options.revision)
    if not is_adapter(folder):
        if options.base is not None:
            raise UserError(f"model.base: only applies to an adapter, and '{folder}' is a whole model; omit it")
        config = _load_config("model.checkpoint", folder)
        return Source(folder, folder, config, None, None, _has_weights(folder, str(options.checkpoint)))
    if any(next(folder.glob(pattern), None) for pattern in (*SAFETENSORS, *PICKLES)):
        raise UserError(f"model.checkpoint: '{folder}' contains an adapter and a whole model; remove the files of one")
    adapter = read_adapter(folder)
    place, revision = (options.base, None) if options.base else (adapter.base.checkpoint, adapter.base.revision)
    try:
        base = find("model.base", place, revision)
    except UserError as error:
        if options.base:
            raise
        hint = f"the base of the adapter '{folder}'; if it has moved, set model.base to its place"
        raise type(error)(f"{error} ({hint})") from error
    if is_adapter(base):
        raise UserError(
            f"model.base: '{base}', the base of '{folder}', is an adapter itself; bisum needs a whole model"
        )
    has_weights = _has_weights(base, place)
    if has_weights:
        adapter.base.verify(base, folder)
    has_own_config = (folder / "config.json").is_file()
    base_config = _load_config("model.base", base)
    config = _load_config("model.checkpoint", folder) if has_own_config else base_config
    is_trimmed = has_tokenizer(folder) and vocabulary_size(config) < vocabulary_size(base_config)
    return Source(folder, base, config, adapter, base_config if is_trimmed else None, has_weights)


def origin_of(given: str, folder: Path, base: Base | None) -> dict[str, Any]:
    """Return where a model came from: the kind of place, its commit, and the hashes that its adapter records."""
    place = "package" if given.startswith(SCHEME) else "folder" if Path(located(given)).is_dir() else "hub"
    return {
        "place": place,
        "commit": commit_of(folder) if place == "hub" else None,
        "sha256": base.weights if base is not None else None,
    }


def _has_weights(folder: Path, given: str) -> bool:
    """Return whether a folder must have the weights of a model; in the hub's cache, they can be missing."""
    return Path(located(given)) == folder or any(folder.glob("*.safetensors"))


def has_tokenizer(folder: Path) -> bool:
    """Return whether a folder has any file of a tokenizer."""
    return any(path.is_file() for name in TOKENIZER_FILES for path in folder.glob(name))


def _load_config(key: str, folder: Path) -> PretrainedConfig:
    """Return the configuration of a model, after checking it."""
    if not (folder / "config.json").is_file():
        if saved := sorted(path.name for path in folder.glob("checkpoints/epoch-*")):
            hint = f"use one of its checkpoints: {', '.join(saved)}"
            raise UserError(f"{key}: '{folder}' is a run directory, not a checkpoint; {hint}")
        found = sorted(path.name for path in folder.iterdir())[:8]
        raise UserError(f"{key}: '{folder}' contains no config.json (found: {', '.join(found) or 'nothing'})")

    def read() -> PretrainedConfig:
        config: PretrainedConfig = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
        return config

    config = reading(key, str(folder), read)
    check_config(config)
    config.return_dict = True  # a checkpoint can disable it
    if config.is_encoder_decoder and getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = _start_token(key, folder, config)
    check_token_ids(config, getattr(config, "vocab_size", None), "config.json")
    return config


def _start_token(key: str, folder: Path, config: PretrainedConfig) -> Any:
    """Return the token with which transformers starts a decoder if config.json has no decoder_start_token_id."""
    if (folder / GENERATION_CONFIG_NAME).is_file():
        generation = reading(key, str(folder), lambda: GenerationConfig.from_pretrained(str(folder)))
        for found in (generation.decoder_start_token_id, generation.bos_token_id):
            if found is not None:
                return found
    return getattr(config, "bos_token_id", None)


def reading(key: str, source: str, read: Callable[[], T]) -> T:
    """Return the result of `read`; turn its errors into a one-line UserError."""
    try:
        return read()
    except UserError:
        raise
    except Exception as error:  # transformers, safetensors and tokenizers raise different types
        own = next((ours for theirs, ours in _EXPLANATIONS.items() if theirs in str(error)), str(error))
        raise UserError(f"{key}: '{source}' cannot be loaded: {one_line(own)[:300]}") from error
