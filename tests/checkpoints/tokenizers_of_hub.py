"""Tokenizers trained on the sample, in the files of the families' repositories on the hub."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from bisum.corpus.sample import Sample

PIECES = 800
CHINESE = (
    "这个软件包提供一个小型文本编辑器，可以突出显示多种语言的语法。",
    "它包含用于开发游戏的头文件和静态库。",
    "用于管理邮件服务器的工具，适合小型网站。",
)
"""Texts for the Chinese vocabulary; the sample has none."""


def unigram(
    folder: Path, file: str, kind: str, settings: dict[str, Any] | None = None, **layout: Any
) -> PreTrainedTokenizerBase:
    """Write a SentencePiece Unigram model with the ids of `layout`, like the hub's; return its tokenizer."""
    (folder / file).write_bytes(sentencepiece("unigram", **layout))
    return load_like_hub(folder, kind, settings or {})


def byte_bpe(
    folder: Path, kind: str | None, first: list[str], last: list[str], settings: dict[str, Any] | None = None
) -> PreTrainedTokenizerBase:
    """Write a byte-level BPE with special tokens before and after its pieces; return its tokenizer."""
    write_byte_bpe(folder, first, last)
    tokenizer = load_like_hub(folder, kind, settings or {})
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in [*first, *last]])
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def write_byte_bpe(folder: Path, first: list[str], last: list[str]) -> None:
    """Write `vocab.json` and `merges.txt`."""
    pieces, merges = _trained_byte_bpe()
    vocabulary = {piece: number for number, piece in enumerate([*first, *pieces, *last])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text(merges, "utf-8")


def word_pieces(folder: Path) -> PreTrainedTokenizerBase:
    """Write BERT's `vocab.txt` with the words of the sample and single Chinese characters; return its tokenizer."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = sorted(set("".join(CHINESE)))
    pieces = [piece for piece in _common_words() if piece not in {*special, *characters}]
    (folder / "vocab.txt").write_text("\n".join([*special, *characters, *pieces]) + "\n", "utf-8")
    return load_like_hub(folder, "BertTokenizer", {"do_lower_case": False, "tokenize_chinese_chars": True})


def metaspace_bpe(first: list[str], last: Iterable[str] = ()) -> Tokenizer:
    """Return a SentencePiece-like BPE with special tokens before its pieces, and others after them."""
    tokenizer = _empty_metaspace_bpe()
    vocabulary, merges = _trained_metaspace_bpe()
    own = {
        piece: number for number, piece in enumerate([*first, *(piece for piece in vocabulary if piece not in first)])
    }
    tokenizer.model = models.BPE(own, list(merges), unk_token="<unk>", fuse_unk=True)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in [*first, *last]])
    return tokenizer


def gemma(folder: Path, special: list[str]) -> PreTrainedTokenizerBase:
    """Write Gemma's `tokenizer.json`, which writes `<bos>` before a text, and has a token for each byte."""
    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *special]
    vocabulary, merges = _trained_gemma()
    numbers = [*first, *(f"<0x{byte:02X}>" for byte in range(256)), *vocabulary]
    tokenizer = Tokenizer(
        models.BPE(
            {piece: number for number, piece in enumerate(numbers)},
            list(merges),
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in first])
    tokenizer.post_processor = template("<bos> $A", tokenizer)
    named = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad", "unk")}
    settings = {"add_bos_token": True, "add_eos_token": False, "additional_special_tokens": special, **named}
    return from_json(folder, tokenizer, "GemmaTokenizer", settings)


def from_json(folder: Path, tokenizer: Tokenizer, kind: str, settings: dict[str, Any]) -> PreTrainedTokenizerBase:
    """Write `tokenizer.json` and its configuration; return the tokenizer."""
    tokenizer.save(str(folder / "tokenizer.json"))
    return load_like_hub(folder, kind, settings)


def load_like_hub(folder: Path, kind: str | None, settings: dict[str, Any]) -> PreTrainedTokenizerBase:
    """Write a `tokenizer_config.json` for the files in a folder; return the tokenizer."""
    values = {**({"tokenizer_class": kind} if kind else {}), **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(values), "utf-8")
    return AutoTokenizer.from_pretrained(folder)


def template(single: str, tokenizer: Tokenizer) -> processors.TemplateProcessing:
    """Return the post-processor that writes special tokens around a text, such as `<s> $A </s>`."""
    special = [(token, tokenizer.token_to_id(token)) for token in dict.fromkeys(single.split()) if token != "$A"]
    return processors.TemplateProcessing(single=single, special_tokens=special)


def padded_size(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the size of a vocabulary with at least one id that only pads it."""
    return (len(tokenizer) // 128 + 1) * 128


@cache
def sentencepiece(model: str, **layout: Any) -> bytes:
    """Train on one thread, so that every run returns the same bytes; <n> becomes a normal piece."""
    from sentencepiece import SentencePieceTrainer, sentencepiece_model_pb2

    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_texts()), model_writer=written, model_type=model,
        seed_sentencepiece_size=3000, character_coverage=1.0, max_sentence_length=100_000, num_threads=1,
        minloglevel=1, **{"vocab_size": PIECES, **layout},
    )  # fmt: skip
    trained = sentencepiece_model_pb2.ModelProto.FromString(written.getvalue())
    for piece in trained.pieces:
        if piece.type == piece.USER_DEFINED:
            piece.type, piece.score = piece.NORMAL, -4.0
    return trained.SerializeToString()


def sentencepiece_pieces(trained: bytes) -> list[tuple[str, float]]:
    """Return the pieces of a model and their scores, without its control and unknown tokens."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(trained)
    return [(piece.piece, piece.score) for piece in proto.pieces if piece.type == piece.NORMAL]


@cache
def _texts() -> tuple[str, ...]:
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["train"]
    return tuple(text for column in ("document", "summary") for text in rows[column].to_pylist()[::12])


@cache
def _trained_byte_bpe() -> tuple[list[str], str]:
    """Return the pieces in order of their ids, and the merges in the format of `merges.txt`."""
    from tokenizers import ByteLevelBPETokenizer

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(_texts(), vocab_size=PIECES, show_progress=False)
    merges = json.loads(bpe.to_str())["model"]["merges"]
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    return sorted(bpe.get_vocab(), key=bpe.get_vocab().get), "\n".join(lines) + "\n"


def _empty_metaspace_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


@cache
def _trained_metaspace_bpe() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    return _train_bpe(_empty_metaspace_bpe(), trainers.BpeTrainer(vocab_size=PIECES, show_progress=False))


@cache
def _trained_gemma() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    return _train_bpe(tokenizer, trainers.BpeTrainer(vocab_size=PIECES - 256, show_progress=False))


def _train_bpe(
    tokenizer: Tokenizer, trainer: trainers.BpeTrainer
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the pieces in order of their ids, and the merges."""
    tokenizer.train_from_iterator(_texts(), trainer)
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return tuple(sorted(vocabulary, key=vocabulary.get)), tuple((one, other) for one, other in merges)


@cache
def _common_words() -> tuple[str, ...]:
    """Return the most common words of the sample, then each of its characters, alone and as part of a word."""
    words = Counter(re.findall(r"\w+|[^\w\s]", " ".join(_texts())))
    characters = sorted({character for word in words for character in word})
    common = sorted(words, key=lambda word: (-words[word], word))[: PIECES // 2]
    return tuple(dict.fromkeys([*common, *characters, *(f"##{character}" for character in characters)]))
