"""Generation with CTranslate2 (https://opennmt.net/CTranslate2), which is faster than transformers on a CPU."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter
from transformers import GenerationConfig, PreTrainedModel

from bisum.models.decoding import end_tokens
from bisum.models.loading import LoadedModel

_BATCHES_PER_THREAD = 4
"""Batches that a thread receives at once: more keep all threads busy, fewer show the progress more often."""
_NORMS = {
    "bart": {"normalize_before": False, "normalize_embedding": True},
    "mbart": {"normalize_before": True, "normalize_embedding": True},
    "pegasus": {"normalize_before": True, "normalize_embedding": False},
}
"""Whether a model normalizes the input of each layer instead of its output, and the embeddings."""


class CTranslate2Engine:
    """A converted encoder-decoder model.

    Its vocabulary consists of the ids as text, such as "17": no piece of a tokenizer can be ambiguous or special.
    """

    def __init__(self, loaded: LoadedModel, quantization: str) -> None:
        """Convert the model's current weights; `quantization` is none or int8."""
        self._family = loaded.family
        self._threads = torch.get_num_threads()
        with TemporaryDirectory(prefix="bisum-ctranslate2-") as folder:
            _convert(loaded.model, Path(folder), None if quantization == "none" else quantization)
            self._translator = ctranslate2.Translator(
                str(Path(folder, "model")),
                compute_type="float32" if quantization == "none" else quantization,
                inter_threads=self._threads,  # a thread for each batch: small matrices divide badly between threads
                intra_threads=1,
            )
        last = str(loaded.model.config.vocab_size - 1)
        self._translator.translate_batch([[last]], max_decoding_length=1)  # the first text reads the variables CT2_...

    @property
    def batches_at_once(self) -> int:
        """Number of batches to hand to `generate` at once."""
        return _BATCHES_PER_THREAD * self._threads

    def generate(self, batches: Sequence[Mapping[str, torch.Tensor]], config: GenerationConfig) -> list[torch.Tensor]:
        """Return what `Family.generate` returns for each batch of model inputs, padded to the batch's longest summary.

        A summary that ends has its end token.
        """
        options, pad = _decoding(config), int(config.pad_token_id)
        rows = sum(len(batch["input_ids"]) for batch in batches)
        # Fewer batches than threads are divided, so that no thread is idle; 0: not divided.
        most = math.ceil(rows / self._threads) if len(batches) < self._threads else 0
        begun = [
            self._translator.translate_batch(
                *zip(*self._rows(batch, config), strict=True),
                max_batch_size=most,
                max_input_length=0,
                asynchronous=True,
                **options,
            )
            for batch in batches
        ]
        return [_padded([self._ids(row.result().hypotheses[0], config) for row in rows], pad) for rows in begun]

    def _rows(
        self, batch: Mapping[str, torch.Tensor], config: GenerationConfig
    ) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the source tokens of each row, and the tokens that its summary must begin with."""
        forced = self._family.forced_tokens
        for ids, mask, starts in zip(
            batch["input_ids"], batch["attention_mask"], batch["decoder_input_ids"], strict=True
        ):
            if forced:
                prefix = starts[1 : 1 + forced].tolist()
            else:
                prefix = [] if config.forced_bos_token_id is None else [config.forced_bos_token_id]
            yield _names(ids[mask.bool()].tolist()), _names(prefix)

    def _ids(self, tokens: Sequence[str], config: GenerationConfig) -> list[int]:
        ids = list(map(int, tokens))
        limit = int(config.max_new_tokens)
        if config.forced_eos_token_id is not None and len(ids) == limit:
            ids[-1] = end_tokens(config.forced_eos_token_id)[0]
        return ids[self._family.forced_tokens :]


def _names(ids: Sequence[int]) -> list[str]:
    return [str(at) for at in ids]


def _padded(rows: Sequence[Sequence[int]], pad: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], dtype=torch.long)


def _decoding(config: GenerationConfig) -> dict[str, Any]:
    """Return the options of `translate_batch` that correspond to those of transformers' `generate`."""
    return {
        "beam_size": config.num_beams,
        "length_penalty": config.length_penalty if config.num_beams > 1 else 1.0,
        "no_repeat_ngram_size": config.no_repeat_ngram_size or 0,
        "max_decoding_length": config.max_new_tokens,
        "min_decoding_length": config.min_new_tokens or 0,
        "suppress_sequences": [[name] for name in _names(config.suppress_tokens or [])],
        "end_token": _names(end_tokens(config.eos_token_id)),
        "return_end_token": True,
    }


def _convert(model: PreTrainedModel, folder: Path, quantization: str | None) -> None:
    """Write the model in CTranslate2's format to `folder`/model."""
    model.config.save_pretrained(folder)
    with _stated_layout(model):
        _Converter(model, folder).convert(str(folder / "model"), quantization=quantization)
    file = folder / "model" / "config.json"
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
