"""Model loading, from a checkpoint or an architecture."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from bisum.config.model_source import located
from bisum.config.options import ModelOptions
from bisum.errors import UserError
from bisum.interfaces.adapter import Adapter, Quantization
from bisum.interfaces.architecture import Architecture
from bisum.interfaces.family import Family, TextReader
from bisum.interfaces.progress import ShowProgress
from bisum.models.adapter_base import Base, base_of
from bisum.models.adapter_files import write_adapter
from bisum.models.family_choice import family_of, is_tested, tokenizer_note
from bisum.models.fitting import check_ngram_size, check_token_ids, check_tokenizer, complete_tokenizer
from bisum.models.lora import describe_lora, has_lora, lora_weights
from bisum.models.prompt import read_prompt, write_prompt
from bisum.models.quantization import check_bitsandbytes, check_quantization, dequantize, quantized
from bisum.models.reader import checked_reader
from bisum.models.source import Source, find_source, origin_of, reading
from bisum.models.trial import try_model
from bisum.models.unloaded import CheckedModel, build_unloaded
from bisum.models.vocabulary.weights import cut_model
from bisum.models.weights import find_non_finite

logger = logging.getLogger(__name__)

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class LoadedModel(TextReader):
    """A model and the reader of its texts."""

    model: PreTrainedModel
    base: Base | None = None
    """The base of the model's LoRA layers, if it has any."""
    origin: Mapping[str, Any] | None = None
    """Where the weights of a whole model came from, as in `source` of a run's record; None for an architecture."""
    no_repeat_ngram_size: int = 0
    """Length of n-grams that the checkpoint's generation settings ban; 0: none."""

    @property
    def parameters(self) -> int:
        """Number of weights, including frozen ones."""
        return int(self.model.num_parameters())

    @property
    def trained_parameters(self) -> int:
        """Number of weights that training changes."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)

    @property
    def adapter(self) -> str | None:
        """A description of the model's LoRA layers, such as `LoRA rank 16 on q, v`; None if it has none."""
        if self.base is None:
            return None
        storage = ", 4-bit base" if self.base.quantize else ""
        return f"{describe_lora(self.model)}{storage}"

    @cached_property
    def suppressed_tokens(self) -> list[int]:
        """Ids of the tokens that a summary must not contain; cached, since a large vocabulary takes almost a second."""
        vocabulary = self.model.config.get_text_config(decoder=True).vocab_size
        return self.family.suppressed_tokens(self.tokenizer, vocabulary)

    def stored_weights(self) -> dict[str, torch.Tensor]:
        """Return the weights that `save` writes, by name: all, or those of the LoRA layers."""
        return self.model.state_dict(keep_vars=True) if self.base is None else lora_weights(self.model)

    def save(self, directory: Path) -> None:
        """Write safetensors, configuration and tokenizer to a directory that `from_pretrained` can read."""
        if self.base is None:
            state = self.stored_weights()
            on_cpu = {id(tensor): tensor.detach().cpu() for tensor in state.values()}  # shared weights stay shared
            state = {name: on_cpu[id(tensor)] for name, tensor in state.items()}
            self.model.save_pretrained(directory, state_dict=state, max_shard_size="1TB")
        else:
            write_adapter(self.model, directory, self.base)
            config = copy.deepcopy(self.model.config)
            config.__dict__.pop("quantization_config", None)  # the quantization is in base.json
            config.save_pretrained(directory)
            self.model.generation_config.save_pretrained(directory)
        self.tokenizer.save_pretrained(directory)


def load(
    options: ModelOptions,
    seed: int,
    precision: str,
    progress: ShowProgress | None = None,
    *,
    device: torch.device = _CPU,
    adapter: Adapter | None = None,
    plain: bool = False,
) -> LoadedModel:
    """Return the model that `options` name, with float32 weights on the CPU; a quantized one is on its device.

    Only safetensors are read, unless the options allow pickles, and no remote code is run.

    Args:
        options: the model's options.
        seed: determines random weights.
        precision: number format of the forward pass: float32, bf16 or fp16.
        progress: shows the progress of a download.
        device: the run's device, where quantized weights must be.
        adapter: prepares the model for training; None: the model is not trained, or continues from an adapter.
        plain: whether to turn weights that were quantized in training into float32 numbers of the same value.

    Raises:
        UserError: the checkpoint is missing or supported by no family, cannot run in `precision`, has fewer positions
            than `max_document_tokens`, or contains a non-finite weight; or `adapter` does not fit it.
    """
    base = origin = None
    if options.checkpoint is None:
        architecture, tokenizer = _architecture(options)
        torch.manual_seed(seed)
        model = architecture.build_model(tokenizer)
        reader = _reader(options, model.config, lambda _: tokenizer, precision)
    else:
        source = find_source(options, weights=True, progress=progress)
        reader = _reader(options, source.config, source.load_tokenizer, precision)
        quantize = _quantization(source, adapter)
        storage = {}
        if quantize:
            if plain:
                check_bitsandbytes()
            else:
                check_quantization(device, trains=adapter is not None)
            storage = quantized(device, precision)
        model = _load_model(reader, source, options, **storage)
        if quantize and plain:
            dequantize(model)
        if options.family is None:
            _report_family(reader, model)
        if source.adapter is not None:
            source.adapter.attach(model)
            base = source.adapter.base
    if adapter is not None:
        torch.manual_seed(seed)
        adapter.attach(model, reader.family)
        if has_lora(model):
            base = base_of(str(options.checkpoint), source.weights, quantize)
    if options.checkpoint is not None:
        origin = origin_of(options.checkpoint, source.weights, base)
    if problem := find_non_finite(model.named_parameters()):  # buffers can contain -inf, to ban tokens
        key = f"checkpoint: '{located(options.checkpoint)}'" if options.checkpoint else "architecture: its model"
        raise UserError(f"model.{key} has non-finite weights: {problem}")
    write_prompt(model.config, reader.prefix, reader.suffix)
    return LoadedModel(
        **{**vars(reader), "config": model.config},
        model=model,
        base=base,
        origin=origin,
        no_repeat_ngram_size=model.generation_config.no_repeat_ngram_size or 0,
    )


def _report_family(reader: TextReader, model: PreTrainedModel) -> None:
    """Report a family that is general, or that the tokenizer changed.

    Raises:
        UserError: the model is of an untested kind, and fails on a short text.
    """
    kind, family = model.config.model_type, type(reader.family)
    if not is_tested(model.config):
        what = f"bisum's tests do not cover '{kind}' models; {family.__name__} reads this one, so check its summaries"
        logger.warning("model.checkpoint: %s", what)
        try_model(reader, model)
    elif note := tokenizer_note(reader, family_of(model.config, "")):
        logger.warning("%s", note)


def check_model(
    options: ModelOptions, precision: str, *, device: torch.device = _CPU, adapter: Adapter | None = None
) -> CheckedModel:
    """Check the model that `options` name as `load` does, without the values of its weights; return what is known.

    The check is fast, so it runs before the corpus is read. The weights of a hub model that is not cached are checked
    after their download.

    Raises:
        UserError: see `load`.
    """
    if options.checkpoint is None:
        reader, model = _blueprint(options, precision)
    else:
        source = find_source(options)
        if _quantization(source, adapter):
            check_quantization(device, trains=adapter is not None)
        reader = _reader(options, source.config, source.load_tokenizer, precision)
        if not source.has_weights:
            return CheckedModel(reader, build_unloaded(reader, adapter), is_local=False)
        model = _load_model(reader, source, options, device_map="meta")
        if source.adapter is not None:
            source.adapter.attach(model)
    if adapter is not None:
        adapter.attach(model, reader.family)
    return CheckedModel(reader, model, is_local=True)


def load_reader(options: ModelOptions) -> TextReader:
    """Return the reader of the model that `options` name, without reading or initializing weights.

    Raises:
        UserError: see `load`; `NotOnHub` if the hub cannot provide the model.
    """
    if options.checkpoint is None:
        return _blueprint(options)[0]
    source = find_source(options)
    return _reader(options, source.config, source.load_tokenizer)


def _blueprint(options: ModelOptions, precision: str = "float32") -> tuple[TextReader, PreTrainedModel]:
    """Return the reader of an architecture, and its model on the meta device."""
    architecture, tokenizer = _architecture(options)
    with torch.device("meta"):
        model = architecture.build_model(tokenizer)
    return _reader(options, model.config, lambda _: tokenizer, precision), model


def _architecture(options: ModelOptions) -> tuple[Architecture, PreTrainedTokenizerBase]:
    assert options.architecture is not None
    return options.architecture, reading("model.architecture", "its tokenizer", options.architecture.load_tokenizer)


def _reader(
    options: ModelOptions,
    config: PretrainedConfig,
    load_tokenizer: Callable[[Family], PreTrainedTokenizerBase],
    precision: str = "float32",
) -> TextReader:
    """Return the reader of a model with `config`, after checking its family and limits."""
    source = located(options.checkpoint) if options.checkpoint else "model.architecture"
    family, is_own = options.family or family_of(config, source), options.family is not None
    if problem := family.precision_problem(precision):
        raise UserError(f"hardware.precision: {problem}")
    prompt = read_prompt(config)
    tokenizer = load_tokenizer(family)
    family = family if is_own else family.for_tokenizer(tokenizer)
    complete_tokenizer(tokenizer, config)
    check_tokenizer(tokenizer, config, "model.checkpoint" if options.checkpoint else "model.architecture")
    return checked_reader(tokenizer, family, config, options, prompt)


def _load_model(reader: TextReader, source: Source, options: ModelOptions, **further: Any) -> PreTrainedModel:
    """Return the whole model of a source; `further` are options of `from_pretrained`."""
    weights = {**_weight_options(source, options), **further}
    load, folder = reader.family.load_model, str(source.weights)
    config = source.base_config or reader.config
    file, stated = source.folder / "generation_config.json", None
    if file.exists():  # transformers ignores one that it cannot read
        stated = reading("model.checkpoint", str(file), lambda: GenerationConfig.from_pretrained(str(source.folder)))
    model = reading(source.weights_key, folder, lambda: load(folder, config, **weights))
    if source.base_config is not None:
        cut_model(model, source.kept_pieces(reader))
    if stated is not None:
        model.generation_config = stated
    name = file.name if stated is not None else "config.json"
    check_token_ids(model.generation_config, getattr(reader.config, "vocab_size", None), name)
    check_ngram_size(model.generation_config, name)
    return model


def _quantization(source: Source, adapter: Adapter | None) -> Quantization | None:
    """Return the storage of the frozen weights: for training with `adapter`, or as it was in training.

    Raises:
        UserError: the source is an adapter, and training would put another one on it.
    """
    if source.adapter is None:
        return None if adapter is None else adapter.quantization
    if adapter is not None:
        raise UserError(
            f"model.checkpoint: '{source.folder}' is an adapter; training needs a whole model, so merge it first, with "
            "`bisum push RUN hub.folder=DIR`, then use model.checkpoint=DIR"
        )
    return source.adapter.base.quantize


def _weight_options(source: Source, options: ModelOptions) -> dict[str, Any]:
    """Return `from_pretrained`'s options; weights are float32 regardless of the checkpoint's type."""
    if not options.pickled_weights and not list(source.weights.glob("*.safetensors")):
        raise UserError(
            f"{source.weights_key}: '{source.weights}' contains no *.safetensors; "
            "write them with save_pretrained, or add model.pickled_weights=true if you trust its pytorch_model.bin"
        )
    pickled = {"use_safetensors": None if options.pickled_weights else True, "weights_only": True}
    return {"dtype": torch.float32, **pickled, "trust_remote_code": False}
