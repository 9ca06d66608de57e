"""Tokenization of rows, with a cache that runs share."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from sentencepiece import SentencePieceProcessor as SentencePiece
from transformers import PreTrainedTokenizerBase

from bisum.corpus.arrow_cache import ArrowCache
from bisum.corpus.corpus import Corpus
from bisum.corpus.disk import Integers, stored, taken
from bisum.corpus.strings import by_id
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


Booleans = np.ndarray[Any, np.dtype[np.bool_]]


class Ragged:
    """A column of lists of int32 in another order, without a Python object per row or a copy of the items."""

    def __init__(
        self,
        values: Sequence[np.ndarray[Any, np.dtype[np.int32]]],
        offsets: Sequence[Integers],
        positions: Integers | None = None,
    ) -> None:
        """Store a column in chunks.

        Args:
            values: the items of each chunk's rows.
            offsets: the first item of each row in its chunk, and the end of the last.
            positions: the position in the column of each row, shape (rows,); None: the same order.
        """
        self._values, self._offsets = values, offsets
        lengths = np.concatenate([np.zeros(0, np.int64), *map(np.diff, offsets)])
        self._ends = np.cumsum([len(chunk) - 1 for chunk in offsets])
        self._positions = np.arange(len(lengths)) if positions is None else positions
        self.lengths: Integers = lengths[self._positions]
        """Number of items in each row, shape (rows,)."""

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray, positions: Integers | None = None) -> Ragged:
        """Return a column of an Arrow table."""
        values = [np.asarray(chunk.values, np.int32) for chunk in column.chunks]
        return cls(values, [np.asarray(chunk.offsets, np.int64) for chunk in column.chunks], positions)

    @classmethod
    def from_lists(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """Return a column of lists."""
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return cls([np.fromiter(chain.from_iterable(rows), np.int32, int(offsets[-1]))], [offsets])

    def __getitem__(self, index: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        position = int(self._positions[index])
        chunk = int(np.searchsorted(self._ends, position, side="right"))
        offsets = self._offsets[chunk]
        at = position - (int(self._ends[chunk]) - len(offsets) + 1)
        return self._values[chunk][offsets[at] : offsets[at + 1]]

    def contain(self, item: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return whether each row contains an item, shape (rows,)."""
        found = []
        for values, offsets in zip(self._values, self._offsets, strict=True):
            counts = np.concatenate([[0], np.cumsum(values == item)])
            found.append(counts[offsets[1:]] > counts[offsets[:-1]])
        return np.concatenate(found)[self._positions] if found else np.zeros(0, bool)


class EncodedSplit(torch.utils.data.Dataset[dict[str, Any]]):
    """The rows of a split with their token ids; an item is `{"input_ids", "labels"}` of one row."""

    def __init__(self, rows: pa.Table, documents: Ragged, labels: Ragged, document_cut: Booleans, cut: int) -> None:
        """Store the rows, which can be empty for texts alone, and the columns of `Family.encode`.

        `cut` is the number of summaries that were cut.
        """
        self.rows = rows
        self.documents = documents
        self.labels = labels
        self.document_cut = document_cut
        """Whether each document was cut, shape (rows,)."""
        self.documents_cut = int(self.document_cut.sum())
        self.summaries_cut = cut

    @classmethod
    def from_arrow(cls, rows: pa.Table, tokens: pa.Table, positions: Integers) -> EncodedSplit:
        """Return rows with a table of their tokens; `positions`, shape (rows,), are those of the rows in it."""
        documents, labels = (Ragged.from_arrow(tokens[name], positions) for name in ("input_ids", "labels"))
        document_cut = tokens["document_cut"].to_numpy()[positions]
        return cls(rows, documents, labels, document_cut, int(pc.sum(tokens["summary_cut"]).as_py() or 0))

    @classmethod
    def from_lists(cls, rows: pa.Table, tokens: Mapping[str, Sequence[Any]]) -> EncodedSplit:
        """Return rows with the columns of `Family.encode`, in the same order."""
        documents, labels = (Ragged.from_lists(tokens[name]) for name in ("input_ids", "labels"))
        return cls(rows, documents, labels, np.asarray(tokens["document_cut"], bool), sum(tokens["summary_cut"]))

    def unreadable_shares(self, unknown: int) -> dict[str, float]:
        """Return, for each language, the share of documents that contain the token id `unknown`."""
        has_unknown = self.documents.contain(unknown)
        languages = self.rows["language"]
        names = pc.unique(languages).to_pylist()
        return {name: float(has_unknown[pc.equal(languages, name).to_numpy()].mean()) for name in names}

    def __len__(self) -> int:
        return len(self.documents.lengths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.documents[index], "labels": self.labels[index]}


def encode(
    corpus: Corpus, loaded: LoadedModel, cache: Path, progress: ShowProgress, splits: Sequence[str] = SPLITS
) -> dict[str, EncodedSplit]:
    """Return splits of the corpus as token ids.

    A split is tokenized once for the same rows, tokenizer, family, prompt and limits; later calls read the ids from
    the folder `cache`. They are not cached for a family of a user's own without source code, as in a notebook.

    Raises:
        UserError: the folder cannot be written, or the model cannot read the texts.
    """
    files = ArrowCache(cache, "tokens")
    return {name: _encode(name, corpus.splits[name], corpus.fingerprint, loaded, files, progress) for name in splits}


def _encode(
    split: str, rows: pa.Table, fingerprint: str, loaded: LoadedModel, cache: ArrowCache, progress: ShowProgress
) -> EncodedSplit:
    sources = _sources(type(loaded.family))
    key = None if sources is None else _cache_key(split, fingerprint, loaded, str(rows["language"][0]), sources)
    order = by_id(rows).to_numpy()  # the cache is in the order of ids, so runs with other seeds share it

    def batches() -> Iterator[pa.RecordBatch]:
        done = 0
        for batch in taken(rows.select(["document", "summary", "language"]), order, _BATCH_ROWS):
            columns = batch.to_pydict()
            encoded = loaded.encode(columns["document"], columns["summary"], columns["language"])
            yield pa.record_batch([pa.array(encoded[field.name], field.type) for field in _SCHEMA], _SCHEMA)
            done += len(batch)
            bar.advance(done)

    with progress(f"tokenizing {split}", len(rows)) as bar:
        if key is None:
            tokens = stored(batches(), _SCHEMA)
        elif (tokens := cache.read(key)) is None:
            tokens = cache.write(key, _SCHEMA, batches())
    return EncodedSplit.from_arrow(rows, tokens, np.argsort(order))


def _cache_key(split: str, fingerprint: str, loaded: LoadedModel, language: str, sources: Sequence[str]) -> str:
    """Return a key that differs whenever the token ids could differ."""
    tokenizer = loaded.tokenizer
    parts = {
        "version": ENCODING_VERSION,
        "corpus": fingerprint,
        "split": split,
        "tokenizer": hashlib.sha256(_state(tokenizer)).hexdigest(),
        "special": tokenizer.special_tokens_map,
        "family": [repr(loaded.family), *sources],
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


def _sources(family: type) -> list[str] | None:
    """Return the source code of a user's own family, which `ENCODING_VERSION` does not cover; None: it is unknown.

    It consists of the modules of the class and of its bases outside bisum, without what these import.
    """
    names = {class_.__module__ for class_ in family.__mro__}
    own = sorted(name for name in names if name.partition(".")[0] not in {"bisum", "builtins", "abc", "typing"})
    try:
        return [inspect.getsource(sys.modules[name]) for name in own]
    except (OSError, TypeError, KeyError):
        return None
