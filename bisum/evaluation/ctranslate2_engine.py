"""Conversion of a loaded model to CTranslate2's format, and generation with it in place of the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ctranslate2.converters import TransformersConverter
from transformers import GenerationConfig, PreTrainedModel

from bisum.evaluation.translation import Prompted, Translation, beginning, padded
from bisum.models.decoding import end_tokens
from bisum.models.loading import LoadedModel

_NORMS = {
    "bart": {"normalize_before": False, "normalize_embedding": True},
    "mbart": {"normalize_before": True, "normalize_embedding": True},
    "pegasus": {"normalize_before": True, "normalize_embedding": False},
}
"""Whether a model normalizes the input of each layer instead of its output, and the embeddings."""


class CTranslate2Engine:
    """A converted encoder-decoder model that generates from tensors, in place of the model itself."""

    def __init__(self, loaded: LoadedModel, quantization: str, converted: Path | None = None) -> None:
        """Convert the model's current weights, unless `converted` is the folder of a conversion of them.

        `quantization` is none or int8.
        """
        self._family = loaded.family
        threads, vocabulary = torch.get_num_threads(), loaded.model.config.vocab_size
        if converted is not None:
            self._translation = Translation(converted, quantization, threads, vocabulary)
            return
        with TemporaryDirectory(prefix="bisum-ctranslate2-") as folder:
            convert(loaded.model, Path(folder, "model"), quantization)
            self._translation = Translation(Path(folder, "model"), quantization, threads, vocabulary)

    @property
    def batches_at_once(self) -> int:
        """Number of batches to hand to `generate` at once."""
        return self._translation.batches_at_once

    def generate(self, batches: Sequence[Mapping[str, torch.Tensor]], config: GenerationConfig) -> list[torch.Tensor]:
        """Return what `Family.generate` returns for each batch of model inputs, padded to the batch's longest summary.

        A summary that ends has its end token.
        """
        forced, pad = self._family.forced_tokens, int(config.pad_token_id)
        found = self._translation.generate([list(self._rows(batch, config)) for batch in batches], config)
        return [torch.tensor(padded([ids[forced:] for ids in batch], pad), dtype=torch.long) for batch in found]

    def _rows(self, batch: Mapping[str, torch.Tensor], config: GenerationConfig) -> Iterator[Prompted]:
        forced = self._family.forced_tokens
        for ids, mask, starts in zip(
            batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"], strict=True
        ):
            yield Prompted(ids[mask.bool()].tolist(), beginning(starts[1 : 1 + forced].tolist(), config))


def convert(model: PreTrainedModel, folder: Path, quantization: str) -> None:
    """Write the model in CTranslate2's format to a new folder; `quantization` is none or int8."""
    with TemporaryDirectory(prefix="bisum-config-") as stated:
        model.config.save_pretrained(stated)
        with _stated_layout(model):
            converter = _Converter(model, Path(stated))
            converter.convert(str(folder), quantization=None if quantization == "none" else quantization)
    file = folder / "config.json"
    # A converter knows neither the start token of every checkpoint nor T5's epsilon.
    values = {**json.loads(file.read_text("utf-8")), "decoder_start_token": str(model.config.decoder_start_token_id)}
    if epsilon := getattr(model.config, "layer_norm_epsilon", None):
        values["layer_norm_epsilon"] = epsilon
    file.write_text(json.dumps(values), "utf-8")


@contextmanager
def _stated_layout(model: PreTrainedModel) -> Iterator[None]:
    """State in the configuration what the converter reads there and transformers 5 does not write.

    This is where BART's relatives normalize, and whether T5's logits are scaled, for which the converter looks at
    `tie_word_embeddings`.
    """
    own = model.config
    model.config = deepcopy(own)
    for name, value in _NORMS.get(own.model_type, {}).items():
        setattr(model.config, name, value)
    if own.model_type in ("t5", "mt5"):
        model.config.tie_word_embeddings = own.model_type == "t5" and own.scale_decoder_outputs
    try:
        yield
    finally:
        model.config = own


class _Converter(TransformersConverter):  # type: ignore[misc]
    """A converter of a model in memory, whose mT5 has a separate head, unlike after `from_pretrained`."""

    def __init__(self, model: PreTrainedModel, folder: Path) -> None:
        super().__init__(str(folder))
        self._model = model

    def load_model(self, *_: Any, **__: Any) -> PreTrainedModel:
        return self._model

    def load_tokenizer(self, *_: Any, **__: Any) -> _Ids:
        return _Ids(self._model)


class _Ids:
    """What a converter reads of a tokenizer, with ids as tokens."""

    special_tokens_map: dict[str, Any] = {}

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config
        self._size = config.vocab_size
        self.eos_token = str(end_tokens(config.eos_token_id)[0])
        self.pad_token = self.bos_token = self.unk_token = str(config.pad_token_id)  # no token is unknown

    def get_vocab(self) -> dict[str, int]:
        return {str(at): at for at in range(self._size)}

    def convert_ids_to_tokens(self, at: int) -> str:
        return str(at)
