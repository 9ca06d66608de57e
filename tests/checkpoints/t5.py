"""T5 and its successors."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from checkpoints.tokenizers_of_hub import (
    from_json,
    load_like_hub,
    padded_size,
    sentencepiece,
    sentencepiece_pieces,
    template,
    unigram,
)
from checkpoints.weights import T5_WIDTHS, randomize, separate_head

LAYOUT = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
IDS = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
Built = tuple[PreTrainedModel, dict[str, Any]]


def t5(folder: Path) -> Built:
    """T5 v1.0: a prefix in its configuration, and a vocabulary padded to a multiple of 128."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _tokenizer(folder)
    prefix = {"summarization": {"prefix": "summarize: ", "num_beams": 4, "early_stopping": True, "max_length": 200}}
    config = T5Config(vocab_size=padded_size(tokenizer), **T5_WIDTHS, **IDS, task_specific_params=prefix)
    return randomize(T5ForConditionalGeneration(config), 1).to(torch.bfloat16), IDS


def flan_t5(folder: Path) -> Built:
    """FLAN-T5, whose architecture is T5 v1.1: gated GELU, and a head separate from the embedding."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=padded_size(_tokenizer(folder)), feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        **T5_WIDTHS, **IDS,
    )  # fmt: skip
    return separate_head(T5ForConditionalGeneration(config), 1), IDS


def mt5(folder: Path) -> Built:
    """mT5: gated GELU, and a head separate from the embedding, although transformers' MT5Config ties them."""
    from transformers import MT5Config, MT5ForConditionalGeneration

    tokenizer = unigram(folder, "spiece.model", "T5Tokenizer", **LAYOUT)
    config = MT5Config(vocab_size=padded_size(tokenizer), feed_forward_proj="gated-gelu", **T5_WIDTHS, **IDS)
    return separate_head(MT5ForConditionalGeneration(config), 1), IDS


def umt5(folder: Path) -> Built:
    """UMT5: relative positions in each layer, 300 sentinels, and `<s>` before `<unk>` in its vocabulary."""
    from transformers import UMT5Config, UMT5ForConditionalGeneration

    trained = sentencepiece("unigram", pad_id=0, eos_id=1, bos_id=2, unk_id=3)
    (folder / "spiece.model").write_bytes(trained)
    first = ["<pad>", "</s>", "<s>", "<unk>"]
    backend = Tokenizer(models.Unigram([*((token, 0.0) for token in first), *sentencepiece_pieces(trained)], unk_id=3))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    backend.decoder = decoders.Metaspace()
    sentinels = [f"<extra_id_{number}>" for number in range(300)]
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in [*first, *sentinels]])
    backend.post_processor = template("$A </s>", backend)
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {**named, "extra_ids": 300, "additional_special_tokens": sentinels}
    tokenizer = from_json(folder, backend, "T5Tokenizer", settings)
    config = UMT5Config(vocab_size=padded_size(tokenizer), feed_forward_proj="gated-gelu", **T5_WIDTHS, **IDS)
    return separate_head(UMT5ForConditionalGeneration(config), 1), IDS


def byt5(folder: Path) -> Built:
    """ByT5: bytes as tokens, so no vocabulary file; gated GELU, and a separate head."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=384, feed_forward_proj="gated-gelu", tie_word_embeddings=False, **T5_WIDTHS, **IDS)
    config.save_pretrained(folder)
    sentinels = [f"<extra_id_{number}>" for number in range(125)]
    settings = {"extra_ids": 125, "additional_special_tokens": sentinels}
    load_like_hub(folder, "ByT5Tokenizer", settings)
    return separate_head(T5ForConditionalGeneration(config), 1), IDS


def longt5(folder: Path) -> Built:
    """LongT5 with transient-global attention: tokens attend to 7 neighbours and to the mean of each block of 4.

    Its head is the embedding, but unlike T5 v1.0, it does not scale the logits; `tie_word_embeddings` says so.
    """
    from transformers import LongT5Config, LongT5ForConditionalGeneration

    config = LongT5Config(
        vocab_size=padded_size(_tokenizer(folder)), feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        encoder_attention_type="transient-global", local_radius=7, global_block_size=4, **T5_WIDTHS, **IDS,
    )  # fmt: skip
    return randomize(LongT5ForConditionalGeneration(config), 1), IDS


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Write `spiece.model` and `tokenizer.json`, and return T5's tokenizer."""
    tokenizer = unigram(folder, "spiece.model", "T5Tokenizer", **LAYOUT)
    tokenizer.save_pretrained(folder)
    return tokenizer
