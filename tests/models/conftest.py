from dataclasses import replace

import pytest
from checkpoints import PROMPTS
from family_rows import DECODING

from bisum import compose
from bisum.models.loading import load


@pytest.fixture(scope="session")
def options():
    """Model options for a checkpoint."""
    usual = compose(["model.max_document_tokens=64", "model.max_summary_tokens=12"]).model

    def make(checkpoint, **values):
        return replace(usual, checkpoint=str(checkpoint), architecture=None, **values)

    return make


@pytest.fixture(scope="session")
def decoding():
    """Generation options for plain transformers, and for bisum."""
    usual = compose().generation
    return lambda name: (DECODING[name] | {"no_repeat_ngram_size": 0}, replace(usual, **DECODING[name]))


@pytest.fixture(scope="session")
def loaded_as(checkpoints, options):
    def make(family, **values):
        return load(options(checkpoints(family), **{**PROMPTS.get(family, {}), **values}), 42, "float32")

    return make
