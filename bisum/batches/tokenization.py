"""Tokenization of rows, with a cache that runs share."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from sentencepiece import SentencePieceProcessor as SentencePiece
from transformers import PreTrainedTokenizerBase

from bisum.batches.token_cache import TokenCache
from bisum.corpus.corpus import Corpus
from bisum.corpus.strings import take
from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.source import SPLITS
from bisum.models.loading import LoadedModel

ENCODING_VERSION = 4
"""Part of the cache key; raise it when the same rows and tokenizer yield different ids."""
_BATCH_ROWS = 1000
_SCHEMA = pa.schema(
    {
        "input_ids": pa.list_(pa.int32()),
        "labels": pa.list_(pa.int32()),
        "document_cut": pa.bool_(),
        "summary_cut": pa.bool_(),
    }
)


class Ragged:
    """A column of lists of int32, without a Python object per row."""

    def __init__(
        self, values: np.ndarray[Any, np.dtype[np.int32]], offsets: np.ndarray[Any, np.dtype[np.int64]]
    ) -> None:
        self.values = values
        self.offsets = offsets

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray) -> Ragged:
        """Return a column of an Arrow table."""
        array = column.combine_chunks()
        return cls(np.asarray(array.values, dtype=np.int32), np.asarray(array.offsets, dtype=np.int64))

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """Return a column of lists."""
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, int(offsets[-1])), offsets)

    def __getitem__(self, index: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Number of items in each row, shape (rows,)."""
        return np.diff(self.offsets)


class EncodedSplit(torch.utils.data.Dataset[dict[str, Any]]):
    """The rows of a split with their token ids; an item is `{"input_ids", "labels"}` of one row."""

    def __init__(self, rows: pa.Table, tokens: pa.Table | Mapping[str, Sequence[Any]]) -> None:
        """Store the rows, which can be empty for texts alone, and the columns of `Family.encode`."""
        is_table = isinstance(tokens, pa.Table)
        read: Callable[[Any], Ragged] = Ragged.from_arrow if is_table else Ragged.from_lists
        self.rows = rows
        self.documents = read(tokens["input_ids"])
        self.labels = read(tokens["labels"])
        self.document_cut = np.asarray(tokens["document_cut"], dtype=bool)
        """Whether each document was cut, shape (rows,)."""
        self.documents_cut = int(self.document_cut.sum())
        self.summaries_cut = int(np.asarray(tokens["summary_cut"], dtype=bool).sum())

    def unreadable_shares(self, unknown: int) -> dict[str, float]:
        """Return, for each language, the share of documents that contain the token id `unknown`."""
        at = np.flatnonzero(self.documents.values == unknown)
        rows = np.searchsorted(self.documents.offsets, at, side="right") - 1
        languages = self.rows["language"].to_numpy()
        has_unknown = np.zeros(len(languages), bool)
        has_unknown[rows] = True
        return {name: float(has_unknown[languages == name].mean()) for name in dict.fromkeys(languages)}

    def __len__(self) -> int:
        return len(self.documents.offsets) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.documents[index], "labels": self.labels[index]}


def encode(
    corpus: Corpus, loaded: LoadedModel, cache: Path, progress: ShowProgress, splits: Sequence[str] = SPLITS
) -> dict[str, EncodedSplit]:
    """Return splits of the corpus as token ids.

    A split is tokenized once for the same rows, tokenizer, family, prompt and limits; later calls read the ids from
    the folder `cache`.

    Raises:
        UserError: the folder cannot be written, or the model cannot read the texts.
    """
    files = TokenCache(cache)
    return {
        name: EncodedSplit(rows, _encode(name, rows, corpus.fingerprint, loaded, files, progress))
        for name in splits
        for rows in [corpus.splits[name]]
    }


def _encode(
    split: str, rows: pa.Table, fingerprint: str, loaded: LoadedModel, cache: TokenCache, progress: ShowProgress
) -> pa.Table:
    key = _cache_key(split, fingerprint, loaded, str(rows["language"][0]))
    order = pc.sort_indices(rows["id"])  # the cache is in the order of ids, so runs with other seeds share it

    def batches() -> Iterator[pa.RecordBatch]:
        texts = take(rows.select(["document", "summary", "language"]), order)
        for start in range(0, len(texts), _BATCH_ROWS):
            columns = texts.slice(start, _BATCH_ROWS).to_pydict()
            encoded = loaded.encode(columns["document"], columns["summary"], columns["language"])
            yield pa.record_batch([pa.array(encoded[field.name], field.type) for field in _SCHEMA], _SCHEMA)
            bar.advance(min(start + _BATCH_ROWS, len(texts)))

    with progress(f"tokenizing {split}", len(rows)) as bar:
        tokens = cache.read(key)
        if tokens is None:
            tokens = cache.write(key, _SCHEMA, batches())
    return tokens.take(pa.array(np.argsort(order.to_numpy())))


def _cache_key(split: str, fingerprint: str, loaded: LoadedModel, language: str) -> str:
    """Return a key that differs whenever the token ids could differ."""
    tokenizer = loaded.tokenizer
    parts = {
        "version": ENCODING_VERSION,
        "corpus": fingerprint,
        "split": split,
        "tokenizer": hashlib.sha256(_state(tokenizer)).hexdigest(),
        "special": tokenizer.special_tokens_map,
        "family": [repr(loaded.family), _source(type(loaded.family))],
        "prompt": [loaded.prefix, loaded.suffix, tokenizer.chat_template],
        "empty": loaded.encode([""], [""], [language]),  # a template can contain the date
        "limits": [loaded.max_document_tokens, loaded.max_summary_tokens],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _state(tokenizer: PreTrainedTokenizerBase) -> bytes:
    """Return the state of a tokenizer; one that is written in Python has a vocabulary and SentencePiece models."""
    if tokenizer.is_fast:
        return str(tokenizer.backend_tokenizer.to_str()).encode()
    pieces = [value.serialized_model_proto() for value in vars(tokenizer).values() if isinstance(value, SentencePiece)]
    settings = (tokenizer.init_kwargs, tokenizer.added_tokens_decoder, getattr(tokenizer, "target_encoder", None))
    return b"".join([repr((tokenizer.get_vocab(), settings)).encode(), *pieces])


def _source(family: type) -> str:
    """Return the source code of a user's own family, which `ENCODING_VERSION` does not cover."""
    try:
        return "" if family.__module__.startswith("bisum.") else inspect.getsource(inspect.getmodule(family) or family)
    except (OSError, TypeError):  # a class defined interactively has no source
        return ""
