"""A short training on the sample, for commands that use a trained model."""

from pathlib import Path

import pytest
from built_once import built_once

import bisum

ARGUMENTS = [
    "corpus.max_train_rows=64",
    "corpus.max_eval_rows=40",
    "model=tiny",
    "model.architecture.d_model=32",
    "model.architecture.d_ff=32",
    "model.architecture.num_layers=1",
    "model.architecture.num_heads=2",
    "model.max_document_tokens=64",
    "model.max_summary_tokens=12",
    "generation.min_tokens=4",
    "generation.no_repeat_ngram_size=1",
    "evaluation.batch_size=7",
    "evaluation.lead=2",
    "evaluation.shown_summaries=1",
    "trainer.batch_size=4",
    "trainer.epochs=2",
    "trainer.learning_rate=2e-2",
    "hardware=cpu",
]


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The run directory of a model whose summaries score above 0 and differ between its two epochs."""
    return built_once(tmp_path_factory, "trained", lambda folder: bisum.train(bisum.compose(ARGUMENTS), folder))
