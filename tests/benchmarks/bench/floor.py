"""The column of the least code for the same arithmetic: bisum's batches, made beforehand, and nothing else.

Training is a forward pass, bisum's loss, a backward pass, clipping and AdamW. An evaluation encodes each document once,
computes the loss and generates from the same encoder states with `generate`; rouge_score_rs scores the summaries.
"""

from __future__ import annotations

import time
from itertools import islice

import rouge_score_rs
import torch
from benchmarks.bench.work import BATCH, DOCUMENT_TOKENS, SUMMARY_TOKENS, Took, Work, size_of
from transformers.modeling_outputs import BaseModelOutput

from bisum import compose
from bisum.batches.collation import Collator
from bisum.batches.sampling import TrainingLoader
from bisum.batches.tokenization import EncodedSplit, encode
from bisum.config.schema import Config
from bisum.corpus.corpus import load_corpus
from bisum.evaluation.generation import set_decoding
from bisum.interfaces.progress import no_progress
from bisum.models.loading import LoadedModel, load
from bisum.models.loss import count_tokens, token_loss
from bisum.training.optimization import build_optimizer

GENERATED_AT_ONCE = 32


def _load(work: Work) -> tuple[Config, LoadedModel]:
    limits = [f"model.max_document_tokens={DOCUMENT_TOKENS}", f"model.max_summary_tokens={SUMMARY_TOKENS}"]
    sizes = {"train": "train_rows=null", "evaluate": f"eval_rows={work.rows}", "summarize": f"train_rows={work.rows}"}
    beams = [f"generation.num_beams={work.beams}", "generation.early_stopping=true"]
    config = compose(
        [
            f"model.checkpoint={work.model}",
            *limits,
            f"corpus.max_{sizes[work.task]}",
            *beams,
            "hardware=cpu",
            "tracker=none",
        ]
    )
    return config, load(config.model, config.seed, "float32")


def _split(work: Work, config: Config, loaded: LoadedModel, name: str) -> EncodedSplit:
    corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    return encode(corpus, loaded, work.folder / "cache", no_progress, [name])[name]


def train_step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, torch.Tensor]) -> None:
    """Take a step on a batch, from which `labels` is removed."""
    labels = batch.pop("labels")
    token_loss(model(**batch).logits, labels, count_tokens(labels)).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def _train(work: Work) -> Took:
    config, loaded = _load(work)
    model = loaded.model.train()
    optimizer = build_optimizer(model, config.trainer)
    split = _split(work, config, loaded, "train")
    loader = TrainingLoader(split, Collator(loaded), BATCH, config.seed, config.hardware)
    batches = list(islice(loader, work.rows // BATCH))
    rows = sum(len(batch["labels"]) for batch in batches)  # an epoch has one smaller batch
    began = time.perf_counter()
    for batch in batches:
        train_step(model, optimizer, batch)
    seconds = time.perf_counter() - began
    saved = work.folder / "model"
    loaded.save(saved)
    return Took(seconds, rows, size_of(saved))


@torch.no_grad()
def _generate(work: Work) -> Took:
    config, loaded = _load(work)
    model, tokenizer = loaded.model.eval(), loaded.tokenizer
    decoding = set_decoding(loaded, config.generation)
    scores = work.task == "evaluate"
    split = _split(work, config, loaded, "validation" if scores else "train")
    order = sorted(range(len(split)), key=lambda row: -len(split.documents[row]))
    groups = [order[at : at + GENERATED_AT_ONCE] for at in range(0, len(order), GENERATED_AT_ONCE)]
    batches = [Collator(loaded)([split[row] for row in rows]) for rows in groups]
    texts: list[str] = []
    began = time.perf_counter()
    for batch in batches:
        labels = batch.pop("labels")
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        if scores:
            outputs = model(**batch)
            token_loss(outputs.logits, labels, 1)
            inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=outputs.encoder_last_hidden_state)
        ids = model.generate(**inputs, generation_config=decoding)
        texts += tokenizer.batch_decode(ids, skip_special_tokens=True)
    if scores:
        references = split.rows["summary"].take(order).to_pylist()
        scorer = rouge_score_rs.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
        for reference, text in zip(references, texts, strict=True):
            scorer.score(reference, text)
    seconds = time.perf_counter() - began
    by_row = dict(zip(order, texts, strict=True))
    return Took(seconds, len(split), texts=[by_row[row] for row in range(len(split))])


def run(work: Work) -> Took:
    """Do the work."""
    return _train(work) if work.task == "train" else _generate(work)
