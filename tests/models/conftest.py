from dataclasses import replace

import pytest
from family_rows import DECODING

from bisum import compose


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
    unlimited = {"no_repeat_ngram_size": 0}
    return lambda name: (DECODING[name] | unlimited, replace(usual, **DECODING[name], **unlimited))


@pytest.fixture(scope="session")
def loaded_as(checkpoints, options):
    """Return the loaded model of a family, which a test can change: `loaded_as("bart")`."""
    # Importing them with this file would be before tests/conftest.py has set their variables.
    from checkpoints import PROMPTS

    from bisum.models.loading import load

    def make(family, **values):
        return load(options(checkpoints(family), **{**PROMPTS.get(family, {}), **values}), 42, "float32")

    return make
