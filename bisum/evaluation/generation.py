"""Summaries from a model: explicit lengths, nothing left to a library's default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GenerationConfig

from bisum.corpus.tokenization import Collator, EncodedSplit
from bisum.errors import UserError
from bisum.evaluation.fixed_shapes import generate_in_shape
from bisum.evaluation.options import GenerationOptions
from bisum.hardware.shapes import Shapes
from bisum.hardware.xla import sync
from bisum.models.loading import LoadedModel
from bisum.training.loss import count_tokens, token_loss

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
    """What a model makes of some rows of a split."""

    rows: list[int]
    """Their indices in the split."""
    summaries: list[str]
    """Generated texts, in the order of `rows`."""
    lengths: list[int]
    """Generated tokens of each, the end-of-sequence token counted."""
    loss_sum: float
    """Cross-entropy of the references, summed over their tokens."""
    loss_tokens: int
    """Those tokens."""


def generation_config(loaded: LoadedModel, options: GenerationOptions) -> GenerationConfig:
    """Return the decoding settings: special tokens are the checkpoint's, everything else the configuration's."""
    own = loaded.model.generation_config
    special = {name: getattr(own, name, None) for name in _SPECIAL_TOKENS}
    for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        if special[name] is None:
            special[name] = getattr(loaded.model.config, name, None)
        if special[name] is None:
            raise UserError(f"model.checkpoint: its config.json and generation_config.json give no {name}")
    beam_only = {"length_penalty": options.length_penalty, "early_stopping": False} if options.num_beams > 1 else {}
    return GenerationConfig(
        **special,
        **beam_only,
        max_new_tokens=loaded.max_summary_tokens,
        min_new_tokens=options.min_tokens or None,
        num_beams=options.num_beams,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        do_sample=False,
        use_cache=True,
    )


def set_decoding(loaded: LoadedModel, options: GenerationOptions) -> GenerationConfig:
    """Make `generation_config` the model's own, and return it.

    transformers fills what a call leaves open from the model's, so a checkpoint's settings would leak into ours; and
    the model saves it, so that a plain `generate` decodes as the evaluation did.
    """
    loaded.model.generation_config = generation_config(loaded, options)
    return loaded.model.generation_config


@torch.no_grad()  # an XLA device does not know inference_mode
def generate(
    loaded: LoadedModel,
    split: EncodedSplit,
    options: GenerationOptions,
    batch_size: int,
    precision: str = "float32",
    shapes: Shapes | None = None,
) -> Iterator[GeneratedBatch]:
    """Yield the summaries and reference losses of every row of the split once, in batches of similar length.

    `precision` (float32, bf16 or fp16) holds for the whole model, the encoder in generation included. With `shapes`,
    the model is called with those alone.
    """
    model, collate, config = loaded.model, Collator(loaded, shapes, batch_size), set_decoding(loaded, options)
    was_training = model.training
    model.eval()
    try:
        order = np.argsort(-split.documents.lengths, kind="stable")
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size].tolist()
            collated = collate([split[row] for row in rows])
            batch = {name: tensor.to(model.device) for name, tensor in collated.items()}
            labels = batch.pop("labels")
            with torch.autocast(model.device.type, _AUTOCAST.get(precision), enabled=precision in _AUTOCAST):
                outputs = model(**batch)
                loss, states = token_loss(outputs.logits, labels, 1), outputs.encoder_last_hidden_state
                del outputs  # the logits are large
                sync(model.device)
                if shapes is None:
                    ids = model.generate(  # type: ignore[operator]
                        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], generation_config=config
                    )
                else:
                    ids = generate_in_shape(model, collated["input_ids"], batch["attention_mask"], states, config)
            yield GeneratedBatch(
                rows,
                [text.strip() for text in loaded.tokenizer.batch_decode(ids[: len(rows)], skip_special_tokens=True)],
                _lengths(ids[: len(rows)].tolist(), config),
                float(loss),
                int(count_tokens(collated["labels"])),
            )
    finally:
        model.train(was_training)


def _lengths(sequences: Sequence[Sequence[int]], config: GenerationConfig) -> list[int]:
    """Count each sequence's tokens after the decoder's start, up to and with its first end-of-sequence token."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    lengths = []
    for sequence in sequences:
        generated = sequence[1:]
        end = next((at for at, token in enumerate(generated) if token in ends), len(generated) - 1)
        lengths.append(end + 1)
    return lengths
