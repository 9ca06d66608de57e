"""Generation with a model in CTranslate2's format (https://opennmt.net/CTranslate2), without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ctranslate2

from bisum.models.decoding import end_tokens

_BATCHES_PER_THREAD = 4
"""Batches that a thread receives at once: more keep all threads busy, fewer show the progress more often."""


@dataclass(frozen=True)
class Prompted:
    """A document, and the tokens that its summary must begin with."""

    document: Sequence[int]
    beginning: Sequence[int]


class Translation:
    """A converted encoder-decoder model.

    Its vocabulary consists of the ids as text, such as "17": no piece of a tokenizer can be ambiguous or special.
    """

    def __init__(self, folder: Path, quantization: str, threads: int, vocabulary: int) -> None:
        """Load the model in a folder; its files can then be deleted.

        Args:
            folder: a model in CTranslate2's format.
            quantization: none or int8.
            threads: number of batches that are generated at once.
            vocabulary: number of the model's tokens.
        """
        self._threads = threads
        load = partial(
            ctranslate2.Translator,
            str(folder),
            compute_type="float32" if quantization == "none" else quantization,
            inter_threads=threads,  # a thread for each batch: small matrices divide badly between threads
            intra_threads=1,
        )
        with ThreadPoolExecutor(1) as other:  # in the calling thread, torch would also use intra_threads
            self._translator = other.submit(load).result()
        last = str(vocabulary - 1)
        self._translator.translate_batch([[last]], max_decoding_length=1)  # the first text reads the variables CT2_...

    @property
    def batches_at_once(self) -> int:
        """Number of batches to hand to `generate` at once."""
        return _BATCHES_PER_THREAD * self._threads

    def generate(self, batches: Sequence[Sequence[Prompted]], config: Any) -> list[list[list[int]]]:
        """Return the token ids of each row's summary, with the tokens that it begins with and its end token, if any.

        `config` is a `GenerationConfig`, or has its attributes.
        """
        options = _decoding(config)
        rows = sum(map(len, batches))
        # Fewer batches than threads are divided, so that no thread is idle; 0: not divided.
        most = math.ceil(rows / self._threads) if len(batches) < self._threads else 0
        begun = [
            self._translator.translate_batch(
                [_names(row.document) for row in batch],
                [_names(row.beginning) for row in batch],
                max_batch_size=most,
                max_input_length=0,
                asynchronous=True,
                **options,
            )
            for batch in batches
        ]
        return [[_ids(row.result().hypotheses[0], config) for row in batch] for batch in begun]


def beginning(forced: Sequence[int], config: Any) -> list[int]:
    """Return the tokens that a summary must begin with: those that its family forces, or the checkpoint's own."""
    if forced or config.forced_bos_token_id is None:
        return list(forced)
    return [config.forced_bos_token_id]


def padded(rows: Sequence[Sequence[int]], pad: int) -> list[list[int]]:
    """Return rows of ids of the length of the longest, padded on the right."""
    longest = max(map(len, rows))
    return [[*row, *[pad] * (longest - len(row))] for row in rows]


def _names(ids: Sequence[int]) -> list[str]:
    return [str(at) for at in ids]


def _ids(tokens: Sequence[str], config: Any) -> list[int]:
    ids = list(map(int, tokens))
    if config.forced_eos_token_id is not None and len(ids) == int(config.max_new_tokens):
        ids[-1] = end_tokens(config.forced_eos_token_id)[0]
    return ids


def _decoding(config: Any) -> dict[str, Any]:
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
