"""Trimming of a model's vocabulary to the pieces that training rows need, and the proof that it is exact."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from bisum.errors import UserError
from bisum.interfaces.family import TextReader
from bisum.interfaces.progress import ShowProgress
from bisum.models.loading import LoadedModel
from bisum.models.text_tokenizer import text_tokenizer
from bisum.models.vocabulary.pieces import choose_pieces, state_of
from bisum.models.vocabulary.tokenizer import cut_tokenizer
from bisum.models.vocabulary.weights import cut_model, has_separate_head, stated_tokens, vocabulary_size

Ids = np.ndarray[Any, np.dtype[np.int64]]

_BATCH_ROWS = 1000
_NO_LIMIT = 10**9
_BYTES_TRAINED = 16
"""Bytes for each trained parameter: float32 weight, gradient and the two moments of AdamW."""
_BYTES_FROZEN = 4
"""Bytes for each frozen parameter: its float32 weight."""


@dataclass(frozen=True, kw_only=True)
class Trimming:
    """What trimming a vocabulary changes."""

    kept: int
    """Number of pieces kept."""
    of: int
    """Number of pieces, including those that only pad the embedding."""
    parameters_before: int
    """Number of parameters of the whole model."""
    parameters: int
    """Number of parameters of the smaller model."""
    saved_bytes: int
    """Memory that training needs less, for weights, gradients and AdamW's moments."""
    validation: float
    """Share of the tokens of the validation rows whose pieces are kept; unknown tokens are not."""


def trim(
    loaded: LoadedModel, train: pa.Table, validation: pa.Table, progress: ShowProgress
) -> tuple[LoadedModel, Trimming]:
    """Cut a model's vocabulary to the pieces that training rows need; return it with its tokenizer, and the change.

    The rows have the columns document, summary and language. Each training row is read again with the smaller
    tokenizer, and the logits of one are computed again.

    Raises:
        UserError: the tokenizer or the model does not support it, or a row or logit would change.
    """
    model, whole = loaded.model, loaded.tokenizer
    state = state_of(whole)
    used, digests = _read(loaded, train, progress)
    size, before = vocabulary_size(model.config), model.num_parameters()
    kept = sorted({*choose_pieces(state, used), *stated_tokens(model)})
    if nameless := set(kept).difference(whole.get_vocab().values()):
        raise UserError(
            f"model.trim_vocabulary: config.json or generation_config.json names token {min(nameless)}, which the "
            "model's tokenizer lacks; set it to false"
        )
    share = _kept_share(loaded, validation, kept, progress)
    smaller, old = replace(loaded, tokenizer=cut_tokenizer(whole, loaded.family, kept)), np.array(kept)
    with progress("verifying the smaller vocabulary", len(train)) as bar:
        for (done, (ids, lengths)), digest in zip(_batches(smaller, train), digests, strict=True):
            if _digest(old[ids], lengths) != digest:
                raise UserError(
                    "model.trim_vocabulary: with fewer pieces, a training row is cut differently; set it to false"
                )
            bar.advance(done)
    trained = model.get_input_embeddings().weight.requires_grad
    expected = _logits(loaded, train)[..., kept]
    cut_model(model, kept)
    smaller = replace(smaller, config=model.config)
    found = _logits(smaller, train)
    tolerance = torch.finfo(found.dtype).eps ** 0.5 * max(1.0, float(expected.abs().max()))
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=0, atol=tolerance):
        raise UserError(
            f"model.trim_vocabulary: a smaller {type(model).__name__} computes different logits; set it to false"
        )
    removed = before - model.num_parameters()
    return smaller, Trimming(
        kept=len(kept),
        of=size,
        parameters_before=before,
        parameters=model.num_parameters(),
        saved_bytes=removed * (_BYTES_TRAINED if trained else _BYTES_FROZEN),
        validation=share,
    )


def estimate(reader: TextReader, train: pa.Table, validation: pa.Table, progress: ShowProgress) -> dict[str, float]:
    """Return what trimming keeps and saves, without a model.

    These are `kept`, `of` and `validation` as in `Trimming`, and about how many `parameters` and `saved_bytes`.

    Raises:
        UserError: the tokenizer does not support it.
    """
    pieces = choose_pieces(state_of(reader.tokenizer), _read(reader, train, progress)[0])
    kept, share = len(pieces), _kept_share(reader, validation, pieces, progress)
    config, size = reader.config, vocabulary_size(reader.config)
    width = getattr(config.get_text_config(decoder=True), "hidden_size", 0)
    parameters = (size - kept) * width * (2 if has_separate_head(config) else 1)
    saved = parameters * _BYTES_TRAINED
    return {"kept": kept, "of": size, "validation": share, "parameters": parameters, "saved_bytes": saved}


def _read(reader: TextReader, train: pa.Table, progress: ShowProgress) -> tuple[set[int], list[bytes]]:
    """Return the ids that training rows use, and a digest of each batch."""
    used, digests = set[int](), []
    with progress("finding the pieces of train", len(train)) as bar:
        for done, (ids, lengths) in _batches(reader, train):
            used.update(np.unique(ids).tolist())
            digests.append(_digest(ids, lengths))
            bar.advance(done)
    return used, digests


def _kept_share(reader: TextReader, rows: pa.Table, kept: Sequence[int], progress: ShowProgress) -> float:
    """Return the share of the tokens of rows that are among the ids `kept` and not unknown; 1 without rows."""
    known = set(kept) - {text_tokenizer(reader.tokenizer).unknown}
    total = found = 0
    with progress("finding the pieces of validation", len(rows)) as bar:
        for done, (ids, _) in _batches(reader, rows):
            total += ids.size
            found += int(np.isin(ids, [*known]).sum())
            bar.advance(done)
    return found / total if total else 1.0


def _batches(reader: TextReader, rows: pa.Table) -> Iterator[tuple[int, tuple[Ids, Ids]]]:
    """Yield the number of rows read, and the token ids and their number in each text of a batch.

    Texts are read whole. One with a prompt after it is also read with the run's limits, which shorten its text and can
    thus end in other pieces.
    """
    whole = replace(reader, max_document_tokens=_NO_LIMIT, max_summary_tokens=_NO_LIMIT)
    cuts_text = reader.suffix or reader.family.left_padded or not type(reader.family).__module__.startswith("bisum.")
    for start in range(0, len(rows), _BATCH_ROWS):
        texts = rows.slice(start, _BATCH_ROWS).to_pydict()
        columns = [
            one.encode(texts["document"], texts["summary"], texts["language"])
            for one in ((whole, reader) if cuts_text else (whole,))
        ]
        lists = [ids for column in columns for name in ("input_ids", "labels") for ids in column[name]]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        ids = np.fromiter(chain.from_iterable(lists), np.int64, int(lengths.sum()))
        yield min(start + _BATCH_ROWS, len(rows)), (ids, lengths)


def _digest(ids: Ids, lengths: Ids) -> bytes:
    return hashlib.sha256(ids.tobytes() + lengths.tobytes()).digest()


@torch.no_grad()
def _logits(loaded: LoadedModel, rows: pa.Table) -> torch.Tensor:
    """Return the logits of the first row's summary, shape (1, tokens, pieces)."""
    first = rows.slice(0, 1).to_pydict()
    columns = loaded.encode(first["document"], first["summary"], first["language"])
    documents, labels = (torch.tensor(columns[name]) for name in ("input_ids", "labels"))
    model, pad = loaded.model, int(loaded.tokenizer.pad_token_id)
    inputs = loaded.family.model_inputs(model.config, documents, torch.ones_like(documents), labels, pad)
    was_training = model.training
    model.eval()
    logits: torch.Tensor = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()}).logits
    model.train(was_training)
    return logits
