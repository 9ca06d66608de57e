"""Trimming of a model's vocabulary at the start of a training, and its description."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from bisum.config.schema import Config
from bisum.corpus.corpus import Corpus
from bisum.interfaces.family import TextReader
from bisum.models.loading import LoadedModel
from bisum.models.trimming import estimate, trim
from bisum.models.vocabulary.pieces import trimming_problem
from bisum.records.run import Run


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
        f"-> {change.parameters / 1e6:.2f} M ({change.saved_bytes / 2**30:.2f} GiB less in training); "
        f"{change.validation:.1%} of validation's tokens are kept pieces"
    )
    run.screen.note(
        "model.trim_vocabulary: the softmax covers fewer pieces, so the loss is lower than with all pieces; compare "
        "trimmed and untrimmed runs by ROUGE"
    )
    return smaller


def estimate_trimming(run: Run, reader: TextReader, train: pa.Table) -> dict[str, Any] | None:
    """Show and return what trimming would keep and save, or the problem that prevents it; None without rows."""
    if not train.num_rows:
        return None
    if problem := trimming_problem(reader.tokenizer):
        run.screen.print(f"model.trim_vocabulary=true is not possible: {problem}")
        return {"problem": problem}
    found = estimate(reader, train, run.screen.progress)
    run.screen.print(
        f"model.trim_vocabulary=true would keep {found['kept']:,} of {found['of']:,} pieces: about "
        f"{found['parameters'] / 1e6:.1f} M parameters and {found['saved_bytes'] / 2**30:.2f} GiB less in training"
    )
    return dict(found)
