"""BART, its relatives in other languages, PEGASUS and LED."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from checkpoints.tokenizers_of_hub import (
    byte_bpe,
    from_json,
    load_like_hub,
    metaspace_bpe,
    template,
    unigram,
    word_pieces,
    write_byte_bpe,
)
from checkpoints.weights import WIDTHS, randomize

IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NAMED = {
    "bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>",
    "pad_token": "<pad>", "mask_token": "<mask>",
}  # fmt: skip
Built = tuple[PreTrainedModel, dict[str, Any]]


def bart(folder: Path) -> Built:
    """BART: <s> X </s> on both sides, 128 learned positions."""
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = byte_bpe(folder, "BartTokenizer", SPECIAL, ["<mask>"])
    config = BartConfig(vocab_size=len(tokenizer), **WIDTHS, **IDS)
    forced = {"forced_bos_token_id": 0, "forced_eos_token_id": 2}
    beams = {"early_stopping": True, "num_beams": 4, "no_repeat_ngram_size": 3}
    return randomize(BartForConditionalGeneration(config), 2), {**IDS, **forced, **beams}


def kobart(folder: Path) -> Built:
    """KoBART: its tokenizer writes no special tokens, and uses </s> for both ends; decoding starts with </s>."""
    from transformers import BartConfig, BartForConditionalGeneration

    special = ["<s>", "</s>", "<usr>", "<pad>", "<sys>", "<unk>", "<mask>"]
    named = {**NAMED, "bos_token": "</s>"}
    del named["sep_token"], named["cls_token"]
    tokenizer = from_json(folder, metaspace_bpe(special), "PreTrainedTokenizerFast", named)
    ids = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 3, "decoder_start_token_id": 1}
    generation = {**ids, "forced_eos_token_id": 1}
    config = BartConfig(vocab_size=len(tokenizer), **WIDTHS, **ids)
    return randomize(BartForConditionalGeneration(config), 1), generation


def bart_chinese(folder: Path) -> Built:
    """Chinese BART: BERT's tokenizer, [CLS] X [SEP]; the end and the start of decoding are [SEP]."""
    from transformers import BartConfig, BartForConditionalGeneration

    tokenizer = word_pieces(folder)
    pad, start, end = tokenizer.convert_tokens_to_ids(["[PAD]", "[CLS]", "[SEP]"])
    ids = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": pad, "decoder_start_token_id": end}
    params = {"summarization": {"length_penalty": 1.0, "max_length": 128, "min_length": 12, "num_beams": 4}}
    config = BartConfig(vocab_size=len(tokenizer), **WIDTHS, **ids, task_specific_params=params)
    beams = {"early_stopping": True, "num_beams": 4, "no_repeat_ngram_size": 3}
    return randomize(BartForConditionalGeneration(config), end), {**ids, "forced_eos_token_id": end, **beams}


def barthez(folder: Path) -> Built:
    """BARThez: mBART's architecture without languages, <s> X </s> on both sides, and a BPE as its vocabulary."""
    from transformers import MBartConfig, MBartForConditionalGeneration

    backend = metaspace_bpe(SPECIAL, ["<mask>"])
    backend.post_processor = template("<s> $A </s>", backend)
    config = MBartConfig(vocab_size=backend.get_vocab_size(), scale_embedding=True, **WIDTHS, **IDS)
    backend.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BarthezTokenizer", **NAMED}), "utf-8")
    generation = {"forced_eos_token_id": 2, "max_length": 20, "num_beams": 4}
    return randomize(MBartForConditionalGeneration(config), 2), {**IDS, **generation}


def pegasus(folder: Path) -> Built:
    """PEGASUS: 103 tokens of its pretraining before the pieces, <n> for a line break, 128 fixed positions."""
    from transformers import PegasusConfig, PegasusForConditionalGeneration

    masks = {"mask_token": "<mask_2>", "mask_token_sent": "<mask_1>", "offset": 103}
    layout = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "user_defined_symbols": "<n>"}
    tokenizer = unigram(folder, "spiece.model", "PegasusTokenizer", masks, **layout)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = PegasusConfig(vocab_size=len(tokenizer), scale_embedding=True, **WIDTHS, **ids)
    generation = {"forced_eos_token_id": 1, "length_penalty": 0.8, "max_length": 256, "num_beams": 8}
    return randomize(PegasusForConditionalGeneration(config), 1), {**ids, **generation}


def led(folder: Path) -> Built:
    """LED: BART's tokenizer, tokens that attend to 8 neighbours, and 512 positions for the document."""
    from transformers import LEDConfig, LEDForConditionalGeneration

    write_byte_bpe(folder, SPECIAL, ["<mask>"])
    widths = {name: value for name, value in WIDTHS.items() if name != "max_position_embeddings"}
    positions = {"max_encoder_position_embeddings": 512, "max_decoder_position_embeddings": 128}
    config = LEDConfig(vocab_size=805, attention_window=[8], **positions, **widths, **IDS)
    config.save_pretrained(folder)
    tokenizer = load_like_hub(folder, None, {**NAMED, "model_max_length": 16384})
    assert len(tokenizer) == config.vocab_size
    beams = {"num_beams": 4, "length_penalty": 2.0, "max_length": 512, "min_length": 100, "no_repeat_ngram_size": 3}
    return randomize(LEDForConditionalGeneration(config), 2), {**IDS, **beams, "early_stopping": True}
