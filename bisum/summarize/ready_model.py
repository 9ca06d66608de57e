"""The model of a summarizer, with what it needs to generate: converted to CTranslate2's format, or loaded in torch.

A stored conversion needs no torch, whose import takes seconds. The first summarizer of a model stores it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from bisum.config.options import GenerationOptions
from bisum.config.schema import Config
from bisum.errors import UserError, reason
from bisum.evaluation.conversions import Conversions, key_of
from bisum.evaluation.engines import can_convert, check_engine
from bisum.evaluation.settings import (
    GenerateTexts,
    Summary,
    decoding_settings,
    similar_batches,
    summary_lengths,
    with_checkpoint_defaults,
)
from bisum.hardware.detection import cpu_name, is_float32_cpu, thread_count
from bisum.interfaces.family import TextReader
from bisum.interfaces.progress import ShowProgress
from bisum.models.family_choice import FAMILIES, tokenizer_note
from bisum.models.folders import folder_of
from bisum.models.reader_record import record_reader, restored_reader
from bisum.runs.checkpoints import is_adapter
from bisum.version import __version__

if TYPE_CHECKING:
    from bisum.evaluation.translation import Translation
    from bisum.hardware.devices import Device
    from bisum.models.loading import LoadedModel

logger = logging.getLogger(__name__)

_VERSION = 2
"""Part of the key of a conversion; raise it when the same model is converted or read in another way."""


@dataclass(frozen=True, kw_only=True)
class ReadyModel:
    """A model that generates summaries."""

    reader: TextReader
    generate: GenerateTexts
    parameters: int
    device: str
    """Display name of the device."""
    precision: str
    loaded: LoadedModel | None = field(default=None, repr=False)
    """The model in torch; None for a stored conversion."""


def ready_model(config: Config, progress: ShowProgress | None) -> ReadyModel:
    """Return the configured model, from its stored conversion if there is one.

    Raises:
        UserError: see `bisum.models.loading.load`; CTranslate2 is required and cannot be used.
    """
    store = _Store.of(config, progress)
    if store is not None and (found := store.find()) is not None:
        return found
    loaded, device = load_in_torch(config, progress)
    from bisum.evaluation.engines import build_engine
    from bisum.evaluation.generation import generate_texts

    converted = None if store is None else store.keep(loaded)
    engine = build_engine(loaded, config.generation, device.precision, converted=converted)
    size = config.evaluation.batch_size
    return ReadyModel(
        reader=loaded,
        generate=partial(generate_texts, loaded, config.generation, size, device.precision, engine),
        parameters=loaded.parameters,
        device=device.name,
        precision=device.precision,
        loaded=loaded,
    )


def load_in_torch(config: Config, progress: ShowProgress | None = None) -> tuple[LoadedModel, Device]:
    """Return the configured model on its device, and the device."""
    from bisum.hardware.devices import find_device
    from bisum.hardware.xla import place
    from bisum.models.loading import load

    device = find_device(config.hardware)
    check_engine(config.generation, device.torch_device.type, device.precision)
    loaded = load(config.model, config.seed, device.precision, progress, device=device.torch_device)
    place(loaded.model, device.torch_device)
    return loaded, device


class _EngineFailure(Exception):
    """CTranslate2 cannot read a model whose files are whole."""


class _Store:
    """The place of a configured model's conversion in the cache folder."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._conversions = Conversions(Path(config.cache_dir).expanduser())
        self._key = self._current_key()

    @classmethod
    def of(cls, config: Config, progress: ShowProgress | None) -> _Store | None:
        """Return the place, or None if the model is not generated from with CTranslate2."""
        kind = config.model
        is_usual = (
            kind.checkpoint is not None and kind.base is None and kind.family is None and not kind.pickled_weights
        )
        # Whether the kind of model is supported is known once it is loaded.
        if not (is_usual and is_float32_cpu(config.hardware) and can_convert(config.generation, FAMILIES["t5"], "t5")):
            return None
        folder = folder_of("model.checkpoint", str(kind.checkpoint), kind.revision, True, False, progress)
        try:
            return None if is_adapter(folder) else cls(config, folder)
        except (OSError, ImportError):  # a file vanished, or CTranslate2 is damaged; both are reported later
            return None

    def find(self) -> ReadyModel | None:
        """Return the model that is stored, if any; report and delete a damaged one."""
        if (found := self._conversions.find(self._key)) is None:
            return None
        folder, record = found
        try:
            options = with_checkpoint_defaults(self._config.generation, record["no_repeat_ngram_size"])
            if not can_convert(options, FAMILIES["t5"], "t5"):  # the checkpoint bans n-grams in a way that differs
                return None
            return self._restored(folder, record, options)
        except (UserError, MemoryError):
            raise
        except _EngineFailure as error:  # generation reports it
            logger.debug("cache_dir: the converted model cannot be used (%s)", error)
            return None
        except Exception as error:  # its files are whole, but were written for something else
            self._conversions.drop(self._key, reason(error))
            return None

    def keep(self, loaded: LoadedModel) -> Path | None:
        """Store the conversion of a loaded model if CTranslate2 supports it, and return its folder."""
        options = with_checkpoint_defaults(self._config.generation, loaded.no_repeat_ngram_size)
        if not can_convert(options, loaded.family, loaded.config.model_type):
            return None
        from bisum.evaluation.ctranslate2_engine import convert
        from bisum.evaluation.generation import special_tokens

        def write(folder: Path) -> dict[str, Any]:
            record = {
                "reader": record_reader(loaded, self._folder),
                "special": special_tokens(loaded),
                "no_repeat_ngram_size": loaded.no_repeat_ngram_size,
                "suppressed": loaded.suppressed_tokens,
                "vocabulary": loaded.model.config.vocab_size,
                "parameters": loaded.parameters,
            }
            convert(loaded.model, folder, options.quantization)
            return record

        return self._conversions.keep(self._key, write, lambda: self._current_key() == self._key)

    def _restored(self, folder: Path, record: dict[str, Any], options: GenerationOptions) -> ReadyModel:
        from bisum.evaluation.translation import Translation

        check_engine(options, "cpu", "float32")
        reader = restored_reader(record["reader"], self._folder, self._config.model)
        if note := tokenizer_note(reader, FAMILIES[reader.config.model_type]):
            logger.warning("%s", note)
        settings = decoding_settings(reader, record["special"], record["suppressed"], options)
        decoding = SimpleNamespace(**{"forced_bos_token_id": None, "forced_eos_token_id": None, **settings})
        try:
            translation = Translation(folder, options.quantization, thread_count(), record["vocabulary"])
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            raise _EngineFailure(reason(error)) from error
        return ReadyModel(
            reader=reader,
            generate=partial(_generate, reader, translation, decoding, self._config.evaluation.batch_size),
            parameters=int(record["parameters"]),
            device=cpu_name(),
            precision="float32",
        )

    def _current_key(self) -> str:
        import ctranslate2
        import tokenizers
        import transformers

        libraries = {of.__name__: of.__version__ for of in (ctranslate2, tokenizers, transformers)}
        parts = {"version": [_VERSION, __version__], "quantization": self._config.generation.quantization}
        return key_of(self._folder, {**parts, **libraries})


def _generate(
    reader: TextReader, translation: Translation, config: Any, batch_size: int, encoded: Mapping[str, Sequence[Any]]
) -> Iterator[Mapping[int, Summary]]:
    """Yield what `generate_texts` yields, in the same batches."""
    import numpy as np

    from bisum.evaluation.translation import Prompted, beginning, padded

    documents, labels, forced = encoded["input_ids"], encoded["labels"], reader.family.forced_tokens
    lengths = np.array(list(map(len, documents)))
    batches = similar_batches(lengths, range(len(documents)), batch_size)
    while group := list(islice(batches, translation.batches_at_once)):
        prompted = [
            [Prompted(documents[row], beginning(labels[row][:forced], config)) for row in batch] for batch in group
        ]
        for rows, found in zip(group, translation.generate(prompted, config), strict=True):
            ids = padded([of_row[forced:] for of_row in found], int(config.pad_token_id))
            tokens, ended = summary_lengths(ids, config)
            texts = reader.family.decode(reader.tokenizer, cast(Any, ids))
            limits = [not has_end for has_end in ended]
            yield dict(zip(rows, map(Summary, texts, tokens, limits), strict=True))
