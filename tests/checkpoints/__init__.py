"""Small checkpoints of the supported families: the real architecture with random weights, and the real tokenizer type.

`build(family, folder)` writes the same files as the family's repository on the hub, such as a SentencePiece model, a
`tokenizer.json`, or `vocab.json` with `merges.txt`. The configurations equal the hub's but for the sizes, so that tests
notice a setting that leaks from them. Weights are float32, T5's bfloat16. They are random but large enough that the
output depends on the document and all earlier tokens, and does not repeat one token.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from checkpoints import bart, decoder_only, gemma, t5, translation
from checkpoints.decoder_only import CHATML
from checkpoints.weights import WIDTHS

__all__ = ["BUILDERS", "CHATML", "PROMPTS", "WIDTHS", "build"]

Builder = Callable[[Path], tuple[PreTrainedModel, dict[str, Any]]]
BUILDERS: dict[str, tuple[Builder, int]] = {
    "t5": (t5.t5, 23),
    "flan_t5": (t5.flan_t5, 2),
    "mt5": (t5.mt5, 4),
    "umt5": (t5.umt5, 6),
    "byt5": (t5.byt5, 15),
    "longt5": (t5.longt5, 5),
    "t5gemma": (gemma.t5gemma, 4),
    "t5gemma2": (gemma.t5gemma2, 6),
    "bart": (bart.bart, 11),
    "kobart": (bart.kobart, 1),
    "bart_chinese": (bart.bart_chinese, 4),
    "barthez": (bart.barthez, 5),
    "pegasus": (bart.pegasus, 6),
    "led": (bart.led, 5),
    "mbart50": (translation.mbart50, 8),
    "nllb": (translation.nllb, 22),
    "m2m100": (translation.m2m100, 11),
    "marian": (translation.marian, 2),
    "gpt2": (decoder_only.gpt2, 13),
    "chat": (decoder_only.chat, 3),
}
"""Builder and seed of each family; with these seeds, summaries differ and some end before the limit."""
PROMPTS = {"gpt2": {"suffix": "\nTL;DR:"}, "chat": {"prefix": "Summarize:\n"}}
"""Prompt of each decoder-only family: `model.prefix` or `model.suffix`."""


def build(family: str, folder: Path) -> Path:
    """Write the checkpoint of a family, one of `BUILDERS`, into an empty folder, and return the folder."""
    builder, seed = BUILDERS[family]
    torch.manual_seed(seed)
    model, generation = builder(folder)
    model.generation_config = GenerationConfig(**generation)
    model.save_pretrained(folder)
    return folder
