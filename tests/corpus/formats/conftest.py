"""The settings of a corpus in files, for tests that replace some of them."""

import pytest

from bisum import compose
from bisum.corpus.files import Files


@pytest.fixture(scope="session")
def defaults() -> Files:
    return compose(["corpus=files", "corpus.path=x", "tracker=none"]).corpus
