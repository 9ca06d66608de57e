"""Generation of summaries, with explicit settings instead of library defaults."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import torch
from transformers import GenerationConfig, PreTrainedModel

from bisum.batches.collation import Collator
from bisum.batches.shapes import Shapes
from bisum.batches.tokenization import EncodedSplit
from bisum.config.options import GenerationOptions
from bisum.errors import UserError
from bisum.evaluation.engines import Engine
from bisum.evaluation.fixed_shapes import generate_in_shape
from bisum.evaluation.settings import (
    Summary,
    decoding_settings,
    similar_batches,
    summary_lengths,
    with_checkpoint_defaults,
)
from bisum.hardware.xla import sync
from bisum.models.decoding import end_tokens
from bisum.models.families.encoder_decoder import EncoderDecoder
from bisum.models.loading import LoadedModel
from bisum.models.loss import count_tokens, token_loss

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}

_SPECIAL_TOKENS = (
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)


@dataclass(frozen=True)
class GeneratedBatch:
    """A model's output for some rows of a split."""

    rows: list[int]
    """Indices of the rows in the split."""
    summaries: list[str]
    """Generated texts, in the order of `rows`."""
    lengths: list[int]
    """Tokens of each summary: includes the end-of-sequence token, excludes tokens that its family forces before it."""
    at_limit: list[bool]
    """Whether each summary reached the token limit without an end-of-sequence token."""
    loss_sum: float
    """Cross-entropy of the references in nats, summed over their tokens; NaN if not requested."""
    loss_tokens: int
    """Number of tokens in that sum."""


def generation_config(loaded: LoadedModel, options: GenerationOptions) -> GenerationConfig:
    """Return the decoding settings: special tokens from the checkpoint, the rest from the configuration.

    A null in the configuration takes the checkpoint's value.

    Raises:
        UserError: the checkpoint lacks a required special token.
    """
    options = with_checkpoint_defaults(options, loaded.no_repeat_ngram_size)
    return GenerationConfig(**decoding_settings(loaded, special_tokens(loaded), loaded.suppressed_tokens, options))


def special_tokens(loaded: LoadedModel) -> dict[str, Any]:
    """Return the ids of a checkpoint's special tokens, by the names in a generation config.

    Raises:
        UserError: a required one is missing.
    """
    model = loaded.model
    own = model.generation_config
    special: dict[str, Any] = {name: getattr(own, name, None) for name in _SPECIAL_TOKENS}
    needed = ("pad_token_id", "eos_token_id", *(("decoder_start_token_id",) if model.config.is_encoder_decoder else ()))
    for name in needed:
        found = (special[name], getattr(model.config, name, None), getattr(loaded.tokenizer, name, None))
        special[name] = next((value for value in found if value is not None), None)
        if special[name] is None:
            raise UserError(f"model.checkpoint: {name} is missing from its config.json and generation_config.json")
    ends = end_tokens(special["eos_token_id"])
    if (trained_end := loaded.tokenizer.eos_token_id) not in (None, *ends):  # summaries end with it in training
        special["eos_token_id"] = [*ends, trained_end]
    return special


def set_decoding(loaded: LoadedModel, options: GenerationOptions) -> GenerationConfig:
    """Make `generation_config` the model's own, and return it.

    transformers fills unset options of a call from the model's own, so a checkpoint's settings would leak into ours.
    The saved model also includes it: a plain `generate` decodes as the evaluation did, if mBART-50 gets the language as
    `forced_bos_token_id`. There is one exception: `no_repeat_ngram_size` then also counts the prompt of a decoder-only
    model and an end token that starts the decoder.
    """
    loaded.model.generation_config = generation_config(loaded, options)
    return loaded.model.generation_config


@torch.no_grad()  # an XLA device does not support inference_mode
def generate(
    loaded: LoadedModel,
    split: EncodedSplit,
    options: GenerationOptions,
    batch_size: int,
    precision: str = "float32",
    shapes: Shapes | None = None,
    *,
    only: Sequence[int] | None = None,
    scored: bool = True,
    engine: Engine | None = None,
) -> Iterator[GeneratedBatch]:
    """Yield the summary of every row of the split once, in batches of similar length; compute losses if `scored`.

    `precision` (float32, bf16 or fp16) applies to the whole model, including the encoder in generation. With
    `shapes`, the model is called only with those. `only` lists the rows to summarize; None: all. `engine` generates in
    place of the model, which then computes only the losses.
    """
    config = set_decoding(loaded, options)
    collate = Collator(loaded, shapes, batch_size)
    rows = range(len(split)) if only is None else only
    batches = similar_batches(split.documents.lengths, rows, batch_size, of_one_shape=shapes is not None)
    with _evaluating(loaded.model):
        while group := list(islice(batches, 1 if engine is None else engine.batches_at_once)):
            collated = [collate([split[row] for row in of_batch]) for of_batch in group]
            found = [None] * len(group) if engine is None else engine.generate(collated, config)
            for of_batch, inputs, ids in zip(group, collated, found, strict=True):
                loss = math.nan
                if scored or ids is None:
                    with _autocast(loaded.model, precision):
                        loss, ids = _run(loaded, inputs, config, shapes, ids, scored=scored)
                ids = ids[: len(of_batch)]
                lengths, ended = summary_lengths(ids.tolist(), config)
                yield GeneratedBatch(
                    of_batch,
                    loaded.family.decode(loaded.tokenizer, ids),
                    lengths,
                    [not has_end for has_end in ended],
                    loss,
                    int(count_tokens(inputs["labels"])),
                )


def _run(
    loaded: LoadedModel,
    collated: dict[str, torch.Tensor],
    config: GenerationConfig,
    shapes: Shapes | None,
    ids: torch.Tensor | None,
    *,
    scored: bool,
) -> tuple[float, torch.Tensor]:
    """Return the loss of a batch's references, NaN unless `scored`, and the ids of its summaries, unless given."""
    model, family = loaded.model, loaded.family
    batch = {name: tensor.to(model.device) for name, tensor in collated.items()}
    labels = batch.pop("labels")
    loss: float | torch.Tensor = math.nan
    states = None
    if scored:
        outputs = model(**batch)
        loss = token_loss(outputs.logits, labels, 1)
        states = getattr(outputs, "encoder_last_hidden_state", None)
        del outputs  # the logits are large
        sync(model.device)
    if ids is not None:
        return float(loss), ids
    if shapes is None or states is None:
        return float(loss), family.generate(model, batch, config, states)
    assert isinstance(family, EncoderDecoder)
    mask, decoding = batch["attention_mask"], family.decoding(collated, config)
    ids = generate_in_shape(model, collated["input_ids"], mask, states, *decoding)
    return float(loss), ids[:, family.forced_tokens :]


@torch.no_grad()
def reference_losses(
    loaded: LoadedModel, split: EncodedSplit, rows: Sequence[int], batch_size: int, precision: str = "float32"
) -> Iterator[tuple[int, float, int]]:
    """Yield the number of rows, the loss summed over the references' tokens and their number, batch by batch."""
    model, collate = loaded.model, Collator(loaded)
    with _evaluating(model):
        for batch_rows in similar_batches(split.documents.lengths, rows, batch_size):
            batch = {name: tensor.to(model.device) for name, tensor in collate([split[r] for r in batch_rows]).items()}
            labels = batch.pop("labels")
            with _autocast(model, precision):
                loss = token_loss(model(**batch).logits, labels, 1)
            yield len(batch_rows), float(loss), int(count_tokens(labels))


def encode_texts(loaded: LoadedModel, texts: Sequence[str], languages: Sequence[str]) -> EncodedSplit:
    """Return the token ids of texts without references; the language at the same index is a text's own.

    Raises:
        UserError: the model does not support a language.
    """
    # Arrow would import pandas to read Python's lists.
    return EncodedSplit.from_lists(pa.table({}), loaded.encode(texts, [""] * len(texts), languages))


def generate_texts(
    loaded: LoadedModel,
    options: GenerationOptions,
    batch_size: int,
    precision: str,
    engine: Engine | None,
    encoded: Mapping[str, Sequence[Any]],
) -> Iterator[dict[int, Summary]]:
    """Yield the summaries of texts batch by batch, each by the index of its text, from the columns of `encode`."""
    split = EncodedSplit.from_lists(pa.table({}), encoded)
    for batch in generate(loaded, split, options, batch_size, precision, scored=False, engine=engine):
        yield dict(zip(batch.rows, map(Summary, batch.summaries, batch.lengths, batch.at_limit), strict=True))


def summarize(
    loaded: LoadedModel,
    documents: Sequence[str],
    languages: Sequence[str],
    options: GenerationOptions,
    batch_size: int,
    precision: str = "float32",
) -> list[str]:
    """Return the summary of each document, cut at the model's limit; the language at the same index is its own.

    Raises:
        UserError: the model does not support a language.
    """
    split = encode_texts(loaded, documents, languages)
    summaries: dict[int, str] = {}
    for batch in generate(loaded, split, options, batch_size, precision, scored=False):
        summaries.update(zip(batch.rows, batch.summaries, strict=True))
    return [summaries[row] for row in range(len(split))]


def _autocast(model: PreTrainedModel, precision: str) -> torch.autocast:
    return torch.autocast(model.device.type, _AUTOCAST.get(precision), enabled=precision in _AUTOCAST)


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Put the model in evaluation mode for the block."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
