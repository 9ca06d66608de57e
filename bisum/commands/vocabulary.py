"""Trimming of a model's vocabulary at the start of a training, and its description."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bisum.config.schema import Config
from bisum.corpus.corpus import Corpus
from bisum.interfaces.family import TextReader
from bisum.models.loading import LoadedModel
from bisum.models.trimming import estimate, trim
from bisum.models.vocabulary.pieces import trimming_problem
from bisum.records.run import Run

_LOW_SHARE = 0.95
"""Share of validation's tokens below which the loss of pieces is likely to lower scores: the guide's table has 99% and
more for corpora of thousands of rows, and 88% for a vocabulary that lacks one of two languages."""


def trims(config: Config, checkpoint: Path | None) -> bool:
    """Return whether a command trims its model: a training does when it starts; its checkpoints are trimmed already."""
    return config.model.trim_vocabulary and config.provenance.command == "train" and checkpoint is None


def trim_vocabulary(run: Run, loaded: LoadedModel, corpus: Corpus) -> LoadedModel:
    """Return a model with only the pieces that the training rows need; report and record what changes."""
    with run.stage("vocabulary"):
        train, validation = (corpus.splits[split] for split in ("train", "validation"))
        smaller, change = trim(loaded, train, validation, run.screen.progress)
    run.update(vocabulary=asdict(change))
    run.screen.print(
        f"vocabulary: {change.kept:,} of {change.of:,} pieces kept; parameters {change.parameters_before / 1e6:.2f} M "
        f"-> {change.parameters / 1e6:.2f} M ({change.saved_bytes / 2**20:,.0f} MiB less in training); "
        f"{change.validation:.1%} of validation's tokens are kept pieces"
    )
    if change.validation < _LOW_SHARE:
        run.screen.warn(
            f"model.trim_vocabulary: only {change.validation:.1%} of validation's tokens are kept, which can lower "
            "scores: train on more rows, or keep the whole vocabulary"
        )
    run.screen.note(
        "model.trim_vocabulary: the softmax covers fewer pieces, so the loss is lower than with all pieces; compare "
        "trimmed and untrimmed runs by ROUGE"
    )
    return smaller


def estimate_trimming(run: Run, reader: TextReader, corpus: Corpus) -> dict[str, Any] | None:
    """Show and return what trimming would keep and save, or the problem that prevents it; None without rows."""
    train = corpus.splits["train"]
    if not train.num_rows:
        return None
    if problem := trimming_problem(reader.tokenizer):
        run.screen.print(f"model.trim_vocabulary=true is not possible: {problem}")
        return {"problem": problem}
    found = estimate(reader, train, corpus.splits["validation"], run.screen.progress)
    run.screen.print(
        f"model.trim_vocabulary=true would keep {found['kept']:,} of {found['of']:,} pieces and "
        f"{found['validation']:.1%} of validation's tokens: about {found['parameters'] / 1e6:.1f} M parameters and "
        f"{found['saved_bytes'] / 2**20:,.0f} MiB less in training"
    )
    return dict(found)
