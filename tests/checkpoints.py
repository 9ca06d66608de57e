"""Small checkpoints of the supported families: the real architecture with random weights, and the real tokenizer type.

`build(family, folder)` writes the same files as the family's checkpoints on the hub: a SentencePiece model (mT5,
mBART-50, PEGASUS), one with a `tokenizer.json` (T5), or `vocab.json`, `merges.txt` and `tokenizer.json`. The generation
config equals the hub's, so that tests notice a setting that leaks from it. Weights are float32, T5's bfloat16. They are
random but large enough that the output depends on the document and all earlier tokens, and does not repeat one token.
"""

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from bisum.corpus.sample import Sample

PIECES = 800
WIDTHS = {"d_model": 32, "max_position_embeddings": 128} | {
    f"{part}_{name}": value
    for part in ("encoder", "decoder")
    for name, value in {"layers": 1, "ffn_dim": 64, "attention_heads": 2}.items()
}
T5_WIDTHS = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
PROMPTS = {"gpt2": {"suffix": "\nTL;DR:"}, "chat": {"prefix": "Summarize:\n"}}
"""Prompt of each decoder-only family: `model.prefix` or `model.suffix`."""
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


Builder = Callable[[Path], tuple[PreTrainedModel, dict[str, Any]]]


def build(family: str, folder: Path) -> Path:
    """Write the checkpoint of a family, one of `BUILDERS`, into an empty folder, and return the folder."""
    builder, seed = BUILDERS[family]
    torch.manual_seed(seed)
    model, generation = builder(folder)
    model.generation_config = GenerationConfig(**generation)
    model.save_pretrained(folder)
    return folder


def _t5(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """T5 v1.0: a prefix in its configuration, and a vocabulary padded to a multiple of 128."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = _unigram(folder, "spiece.model", "T5Tokenizer", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    tokenizer.save_pretrained(folder)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    prefix = {"summarization": {"prefix": "summarize: ", "num_beams": 4, "early_stopping": True, "max_length": 200}}
    config = T5Config(vocab_size=_padded_size(tokenizer), **T5_WIDTHS, **ids, task_specific_params=prefix)
    return _randomize(T5ForConditionalGeneration(config), ids["eos_token_id"]).to(torch.bfloat16), ids


def _mt5(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """mT5: gated GELU, and a head separate from the embedding, although transformers' MT5Config ties them."""
    from transformers import MT5Config, MT5ForConditionalGeneration

    tokenizer = _unigram(folder, "spiece.model", "T5Tokenizer", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = MT5Config(vocab_size=_padded_size(tokenizer), feed_forward_proj="gated-gelu", **T5_WIDTHS, **ids)
    model = MT5ForConditionalGeneration(config)
    model.lm_head.weight = nn.Parameter(torch.randn(config.vocab_size, 32))
    model.config.tie_word_embeddings = False
    return _randomize(model, ids["eos_token_id"]), ids


def _mbart50(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """mBART-50: 52 language codes after the pieces, then <mask>; decoding starts with </s> and a language code."""
    from transformers import MBartConfig, MBartForConditionalGeneration

    languages = {"src_lang": None, "tgt_lang": None}
    tokenizer = _unigram(
        folder, "sentencepiece.bpe.model", "MBart50Tokenizer", languages, unk_id=0, bos_id=1, eos_id=2, pad_id=-1
    )
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = MBartConfig(vocab_size=len(tokenizer), scale_embedding=True, **WIDTHS, **ids)
    generation = {"forced_eos_token_id": 2, "early_stopping": True, "max_length": 200, "num_beams": 5}
    return _randomize(MBartForConditionalGeneration(config), ids["eos_token_id"]), {**ids, **generation}


def _bart(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """BART: <s> X </s> on both sides, 128 learned positions."""
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = _bpe(folder, "BartTokenizer", ["<s>", "<pad>", "</s>", "<unk>"], ["<mask>"])
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = BartConfig(vocab_size=len(tokenizer), **WIDTHS, **ids)
    forced = {"forced_bos_token_id": 0, "forced_eos_token_id": 2}
    beams = {"early_stopping": True, "num_beams": 4, "no_repeat_ngram_size": 3}
    return _randomize(BartForConditionalGeneration(config), ids["eos_token_id"]), {**ids, **forced, **beams}


def _pegasus(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """PEGASUS: 103 tokens of its pretraining before the pieces, <n> for a line break, 128 fixed positions."""
    from transformers import PegasusConfig, PegasusForConditionalGeneration

    masks = {"mask_token": "<mask_2>", "mask_token_sent": "<mask_1>", "offset": 103}
    layout = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "user_defined_symbols": ["<n>"]}
    tokenizer = _unigram(folder, "spiece.model", "PegasusTokenizer", masks, **layout)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = PegasusConfig(vocab_size=len(tokenizer), scale_embedding=True, **WIDTHS, **ids)
    generation = {"forced_eos_token_id": 1, "length_penalty": 0.8, "max_length": 256, "num_beams": 8}
    return _randomize(PegasusForConditionalGeneration(config), ids["eos_token_id"]), {**ids, **generation}


def _gpt2(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """GPT-2: <|endoftext|> as its only special token, no padding token, 256 learned positions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = _bpe(folder, "GPT2Tokenizer", [], ["<|endoftext|>"])
    end = len(tokenizer) - 1
    ids = {"bos_token_id": end, "eos_token_id": end}
    config = GPT2Config(vocab_size=len(tokenizer), n_positions=256, n_embd=32, n_layer=1, n_head=2, **ids)
    return _randomize(GPT2LMHeadModel(config), ids["eos_token_id"]), ids


def _chat(folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Qwen2 Instruct: ChatML, turns that end with <|im_end|>, and <|endoftext|> for padding."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    ends = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "additional_special_tokens": special[1:]}
    tokenizer = _bpe(folder, "Qwen2Tokenizer", [], special, {**ends, "chat_template": CHATML})
    pad, end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    ids = {"bos_token_id": pad, "eos_token_id": end}
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True, **ids,
    )  # fmt: skip
    generation = {"pad_token_id": pad, "eos_token_id": [end, pad], "do_sample": True, "temperature": 0.7, "top_p": 0.8}
    return _randomize(Qwen2ForCausalLM(config), ids["eos_token_id"]), {**ids, **generation}


BUILDERS: dict[str, tuple[Builder, int]] = {
    "t5": (_t5, 23),
    "mt5": (_mt5, 4),
    "mbart50": (_mbart50, 8),
    "bart": (_bart, 11),
    "pegasus": (_pegasus, 6),
    "gpt2": (_gpt2, 13),
    "chat": (_chat, 3),
}
"""Builder and seed of each family; with these seeds, summaries differ and some end before the limit."""


def _unigram(
    folder: Path, file: str, kind: str, settings: dict[str, Any] | None = None, **layout: Any
) -> PreTrainedTokenizerBase:
    """Write a SentencePiece Unigram model with the ids of `layout`, like the hub's; return its tokenizer."""
    (folder / file).write_bytes(_trained_unigram(json.dumps(layout, sort_keys=True)))
    return _load_like_hub(folder, kind, settings or {})


def _bpe(
    folder: Path, kind: str, first: list[str], last: list[str], settings: dict[str, Any] | None = None
) -> PreTrainedTokenizerBase:
    """Write a byte-level BPE with special tokens before and after its pieces; return its tokenizer."""
    from tokenizers import AddedToken

    pieces, merges = _trained_bpe()
    vocabulary = {piece: number for number, piece in enumerate([*first, *pieces, *last])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text(merges, "utf-8")
    tokenizer = _load_like_hub(folder, kind, settings or {})
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in [*first, *last]])
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def _load_like_hub(folder: Path, kind: str, settings: dict[str, Any]) -> PreTrainedTokenizerBase:
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": kind, **settings}), "utf-8")
    return AutoTokenizer.from_pretrained(folder)


def _padded_size(tokenizer: PreTrainedTokenizerBase) -> int:
    return (len(tokenizer) // 128 + 1) * 128


def _texts() -> list[str]:
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["train"]
    return [text for column in ("document", "summary") for text in rows[column].to_pylist()[::12]]


@cache
def _trained_unigram(layout: str) -> bytes:
    """Train on one thread, so that every run returns the same bytes; <n> becomes a normal piece."""
    from sentencepiece import SentencePieceTrainer, sentencepiece_model_pb2

    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_texts()), model_writer=written, model_type="unigram", vocab_size=PIECES,
        seed_sentencepiece_size=3000, character_coverage=1.0, max_sentence_length=100_000, num_threads=1,
        minloglevel=1, **json.loads(layout),
    )  # fmt: skip
    model = sentencepiece_model_pb2.ModelProto.FromString(written.getvalue())
    for piece in model.pieces:
        if piece.type == piece.USER_DEFINED:
            piece.type, piece.score = piece.NORMAL, -4.0
    return model.SerializeToString()


@cache
def _trained_bpe() -> tuple[list[str], str]:
    """Return the pieces in order of their ids, and the merges in the format of `merges.txt`."""
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(_texts(), vocab_size=PIECES, show_progress=False)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    return sorted(bpe.get_vocab(), key=bpe.get_vocab().get), "\n".join(lines) + "\n"


@torch.no_grad()
def _randomize(model: PreTrainedModel, end: int) -> PreTrainedModel:
    """Draw large weights, so that tokens do not depend only on the previous one and some summaries end early."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and weight.requires_grad:
            is_embedding = any(part in name for part in ("shared", "embed_tokens", "wte", "wpe", "lm_head"))
            nn.init.normal_(weight, std=0.1 if is_embedding else 3 / weight.shape[-1] ** 0.5)
    model.get_output_embeddings().weight[end] *= 2
    return model
