"""Models trained for translation."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from checkpoints.tokenizers_of_hub import from_json, load_like_hub, metaspace_bpe, sentencepiece, template, unigram
from checkpoints.tokenizers_of_hub import sentencepiece_pieces as pieces_of
from checkpoints.weights import WIDTHS, randomize

IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NAMED = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
Built = tuple[PreTrainedModel, dict[str, Any]]


def mbart50(folder: Path) -> Built:
    """mBART-50: 52 language codes after the pieces, then <mask>; decoding starts with </s> and a language code."""
    from transformers import MBartConfig, MBartForConditionalGeneration

    languages = {"src_lang": None, "tgt_lang": None}
    tokenizer = unigram(
        folder, "sentencepiece.bpe.model", "MBart50Tokenizer", languages, unk_id=0, bos_id=1, eos_id=2, pad_id=-1
    )
    config = MBartConfig(vocab_size=len(tokenizer), scale_embedding=True, **WIDTHS, **IDS)
    generation = {"forced_eos_token_id": 2, "early_stopping": True, "max_length": 200, "num_beams": 5}
    return randomize(MBartForConditionalGeneration(config), 2), {**IDS, **generation}


def nllb(folder: Path) -> Built:
    """NLLB-200: 202 language codes such as spa_Latn after the pieces, then <mask> and two unused ids."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    backend = metaspace_bpe(SPECIAL, [*FAIRSEQ_LANGUAGE_CODES, "<mask>"])
    backend.post_processor = template("eng_Latn $A </s>", backend)
    config = M2M100Config(vocab_size=backend.get_vocab_size() + 2, scale_embedding=True, **WIDTHS, **IDS)
    config.save_pretrained(folder)
    named = {**NAMED, "cls_token": "<s>", "mask_token": "<mask>", "model_max_length": 1024}
    tokenizer = from_json(folder, backend, "NllbTokenizer", {**named, "src_lang": None, "tgt_lang": None})
    assert tokenizer.convert_tokens_to_ids("<mask>") == config.vocab_size - 3
    return randomize(M2M100ForConditionalGeneration(config), 2), {**IDS, "max_length": 200}


def m2m100(folder: Path) -> Built:
    """M2M100: 100 language tokens such as __es__ after the pieces, then eight unused ids."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration
    from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES

    trained = sentencepiece("bpe", unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    (folder / "sentencepiece.bpe.model").write_bytes(trained)
    vocabulary = {piece: at for at, piece in enumerate([*SPECIAL, *(piece for piece, _ in pieces_of(trained))])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, indent=2), "utf-8")
    languages = [f"__{code}__" for code in FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    config = M2M100Config(vocab_size=len(vocabulary) + len(languages) + 8, scale_embedding=True, **WIDTHS, **IDS)
    config.save_pretrained(folder)
    settings = {"src_lang": None, "tgt_lang": None, "language_codes": "m2m100", "num_madeup_words": 8}
    load_like_hub(folder, "M2M100Tokenizer", {**NAMED, **settings, "additional_special_tokens": languages})
    generation = {"early_stopping": True, "max_length": 200, "num_beams": 5}
    return randomize(M2M100ForConditionalGeneration(config), 2), {**IDS, **generation}


def marian(folder: Path) -> Built:
    """OPUS-MT: a SentencePiece model for each side, one vocabulary; decoding starts with <pad>, its last token."""
    from transformers import MarianConfig, MarianMTModel

    sides = {"source": sentencepiece("unigram", vocab_size=500), "target": sentencepiece("unigram")}
    for side, trained in sides.items():
        (folder / f"{side}.spm").write_bytes(trained)
    pieces = dict.fromkeys(piece for trained in sides.values() for piece, _ in pieces_of(trained))
    vocabulary = {piece: at for at, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    pad = vocabulary["<pad>"]
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": pad, "decoder_start_token_id": pad}
    config = MarianConfig(
        vocab_size=len(vocabulary), decoder_vocab_size=len(vocabulary), activation_function="swish",
        scale_embedding=True, **WIDTHS, **ids,
    )  # fmt: skip
    config.save_pretrained(folder)
    load_like_hub(folder, None, {"source_lang": "en", "target_lang": "es"})
    generation = {"forced_eos_token_id": 0, "max_length": 512, "num_beams": 4, "renormalize_logits": True}
    return randomize(MarianMTModel(config), 0), {**ids, "bad_words_ids": [[pad]], **generation}
