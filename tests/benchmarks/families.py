"""`experiment=families` with small architectures in place of the hub's models, and its comparison.

python tests/benchmarks/families.py [DIRECTORY]        # 4 architectures of some 2 M parameters, 3 seeds each

All start from random weights with the starter's tokenizer and see the same rows, so the comparison is of architectures
at this size and budget, not of the pretrained models that have their names.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    LongT5Config,
    LongT5ForConditionalGeneration,
    PreTrainedModel,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
    T5GemmaModuleConfig,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from bisum.config.model_source import located

WIDTH, FEED_FORWARD, LAYERS, HEADS = 128, 256, 2, 4
ARGUMENTS = [
    *("experiment=families", "model=starter", "trainer.learning_rate=2e-3", "seed=1,2,3", "tracker=none"),
    *("corpus.max_train_rows=1000", "corpus.max_eval_rows=150", "trainer.epochs=3", "trainer.batch_size=16"),
    *("model.max_document_tokens=128", "evaluation.shown_summaries=0", "hardware=cpu"),
]


def umt5(ids: dict[str, int], size: int) -> PreTrainedModel:
    shape = {"d_model": WIDTH, "d_kv": WIDTH // HEADS, "d_ff": FEED_FORWARD, "num_heads": HEADS}
    return UMT5ForConditionalGeneration(UMT5Config(vocab_size=size, num_layers=LAYERS, **shape, **ids))


def longt5(ids: dict[str, int], size: int) -> PreTrainedModel:
    shape = {"d_model": WIDTH, "d_kv": WIDTH // HEADS, "d_ff": FEED_FORWARD, "num_heads": HEADS}
    kind: dict[str, Any] = {"encoder_attention_type": "transient-global", "feed_forward_proj": "gated-gelu"}
    return LongT5ForConditionalGeneration(LongT5Config(vocab_size=size, num_layers=LAYERS, **shape, **kind, **ids))


def bart(ids: dict[str, int], size: int) -> PreTrainedModel:
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", LAYERS), ("ffn_dim", FEED_FORWARD), ("attention_heads", HEADS))
    }
    config = BartConfig(vocab_size=size, d_model=WIDTH, max_position_embeddings=512, **sides, **ids)
    return BartForConditionalGeneration(config)


def t5gemma(ids: dict[str, int], size: int) -> PreTrainedModel:
    side = T5GemmaModuleConfig(
        vocab_size=size,
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS // 2,
        head_dim=WIDTH // HEADS,
        query_pre_attn_scalar=WIDTH // HEADS,
        max_position_embeddings=512,
        sliding_window=128,
        bos_token_id=ids["decoder_start_token_id"],
        pad_token_id=ids["pad_token_id"],
        eos_token_id=ids["eos_token_id"],
    )
    config = T5GemmaConfig(encoder=side, decoder=side, vocab_size=size, **ids)
    return T5GemmaForConditionalGeneration(config)


ARCHITECTURES: dict[str, Callable[[dict[str, int], int], PreTrainedModel]] = {
    "umt5": umt5,
    "longt5": longt5,
    "bart": bart,
    "t5gemma": t5gemma,
}


def write(folder: Path, build: Callable[[dict[str, int], int], PreTrainedModel]) -> None:
    """Write a model with random weights and the starter's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(located("pkg://bisum.assets.starter"))
    pad = tokenizer.pad_token_id
    ids = {"pad_token_id": pad, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": pad}
    torch.manual_seed(0)
    build({**ids, "decoder_start_token_id": pad}, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main(directory: Path) -> None:
    for name, build in ARCHITECTURES.items():
        write(directory / "models" / name, build)
    checkpoints = ",".join(str(directory / "models" / name) for name in ARCHITECTURES)
    sweep = directory / "sweep"
    bisum = [sys.executable, "-m", "bisum"]
    subprocess.run(
        [*bisum, "-m", *ARGUMENTS, f"model.checkpoint={checkpoints}", f"hydra.sweep.dir={sweep}"], check=True
    )
    subprocess.run([*bisum, "compare", str(sweep), "by=rougeL", "split=validation"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/families").resolve())
