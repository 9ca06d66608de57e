"""Callers from Python need not repeat what conf/ states."""

import pytest

from bisum import compose
from bisum.corpus.files import Files
from bisum.corpus.filters import Books, Length, LongTitles
from bisum.corpus.hub import Hub
from bisum.corpus.marc import Marc
from bisum.corpus.sample import Sample
from bisum.errors import UserError


@pytest.mark.parametrize(
    ("words", "built"),
    [
        (["corpus=sample"], lambda: Sample()),
        (["corpus=marc", "corpus.path=x"], lambda: Marc(path="x")),
        (["corpus=files", "corpus.path=a.csv"], lambda: Files(path="a.csv")),
        (["corpus=hub", "corpus.repo=a/b"], lambda: Hub(repo="a/b")),
    ],
    ids=["sample", "marc", "files", "hub"],
)
def test_a_corpus_built_in_python_is_the_one_that_the_option_configures(words, built):
    assert built() == compose(words).corpus


def test_a_filter_built_in_python_is_the_one_that_the_option_configures():
    configured = compose(["filter=[books,long_titles,length]"]).filter
    assert configured == {"books": Books(), "long_titles": LongTitles(), "length": Length()}


def test_a_configuration_states_every_key_all_the_same():
    with pytest.raises(UserError, match=r"^corpus\.validation_share: is missing$"):
        compose(["corpus=files", "corpus.path=a.csv", "~corpus.validation_share"])
