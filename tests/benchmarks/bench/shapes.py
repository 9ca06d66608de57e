"""The models that the benchmark trains, and the rows of the sample that they read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FULL_VOCABULARY = 250_112
"""Size of mT5's vocabulary, padding included."""


@dataclass(frozen=True)
class Shape:
    """The size of a model with mT5's architecture."""

    vocabulary: int
    """Rows of the embedding and of the head."""
    pieces: int
    """Pieces trained on the sample; no text contains the others."""
    layers: dict[str, int]


MT5_SMALL = Shape(FULL_VOCABULARY, 16_000, {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_heads": 6})
TINY = Shape(8_000, 2_000, {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2})


SHAPES = {"mt5_small": MT5_SMALL, "tiny": TINY}


def write(name: str, whole: str, trimmed: str) -> None:
    """Write the model of a shape, and the same trimmed to the sample's training rows."""
    write_model(SHAPES[name], Path(whole))
    write_trimmed(whole, Path(trimmed))


def write_trimmed(whole: str, folder: Path) -> None:
    """Write a model with the vocabulary that training on the whole sample keeps."""
    from bisum import compose
    from bisum.corpus.corpus import load_corpus
    from bisum.interfaces.progress import no_progress
    from bisum.models.loading import load
    from bisum.models.trimming import trim

    config = compose([f"model.checkpoint={whole}", "tracker=none"])
    corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    loaded = load(config.model, config.seed, "float32")
    smaller, change = trim(loaded, corpus.splits["train"], corpus.splits["validation"], no_progress)
    smaller.save(folder)
    print(
        f"{change.kept:,} of {change.of:,} pieces kept, {change.parameters / 1e6:.1f} of "
        f"{change.parameters_before / 1e6:.1f} M parameters, {change.validation:.1%} of validation's tokens kept"
    )


def write_model(shape: Shape, folder: Path) -> None:
    """Write a model with a separate head, as in mT5, and random weights. Its summaries reach the limit."""
    import torch
    from tokenizers import Tokenizer
    from transformers import MT5Config, MT5ForConditionalGeneration, PreTrainedTokenizerFast

    from bisum.assets.unigram import train_unigram

    rows = sample_rows("train")
    texts = (text for row in rows for text in (row["document"], row["summary"]))
    state: dict[str, Any] = json.loads(train_unigram(texts, shape.pieces).backend_tokenizer.to_str())
    known = state["model"]["vocab"]
    lowest = min(score for _, score in known)
    padding = 12  # as in mT5
    unused = (
        "\U000f0000"  # a piece of its own, as every character of mT5's pieces is, so that the others can be dropped
    )
    known.append([unused, lowest])
    known += [[f"{unused}{number}", lowest] for number in range(shape.vocabulary - padding - len(known))]
    backend = Tokenizer.from_str(json.dumps(state))
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **named).save_pretrained(folder)

    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    config = MT5Config(vocab_size=shape.vocabulary, feed_forward_proj="gated-gelu", **shape.layers, **ids)
    torch.manual_seed(0)
    model = MT5ForConditionalGeneration(config)
    head = torch.randn_like(model.lm_head.weight) * shape.layers["d_model"] ** -0.5
    head[ids["eos_token_id"]] = 0  # never the most likely token, so that all columns generate summaries of one length
    model.lm_head.weight = torch.nn.Parameter(head)
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder)


def sample_rows(split: str, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the rows of a split as bisum's default run reads them, at most `limit`."""
    from bisum import compose
    from bisum.corpus.corpus import load_corpus

    size = "null" if limit is None else limit
    config = compose([f"corpus.max_train_rows={size}", f"corpus.max_eval_rows={size}", "tracker=none"])
    corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    rows: list[dict[str, Any]] = corpus.splits[split].to_pylist()
    return rows
