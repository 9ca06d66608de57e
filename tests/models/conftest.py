from dataclasses import replace

import pytest

from bisum import compose


@pytest.fixture(scope="session")
def options():
    """Model options for a checkpoint."""
    usual = compose(["model.max_document_tokens=64", "model.max_summary_tokens=12"]).model

    def make(checkpoint, **values):
        return replace(usual, checkpoint=str(checkpoint), architecture=None, **values)

    return make
