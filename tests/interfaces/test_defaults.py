"""Callers from Python do not have to repeat the defaults in conf/."""

import pytest

from bisum import compose
from bisum.corpus.files import Files
from bisum.corpus.filters import Books, Length, LongTitles
from bisum.corpus.hub import Hub
from bisum.corpus.marc import Marc
from bisum.corpus.sample import Sample
from bisum.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "built"),
    [
        (["corpus=sample"], lambda: Sample()),
        (["corpus=marc", "corpus.path=x"], lambda: Marc(path="x")),
        (["corpus=files", "corpus.path=a.csv"], lambda: Files(path="a.csv")),
        (["corpus=hub", "corpus.repo=a/b"], lambda: Hub(repo="a/b")),
    ],
    ids=["sample", "marc", "files", "hub"],
)
def test_corpus_built_in_python_equals_the_configured_one(arguments, built):
    assert built() == compose(arguments).corpus


def test_filter_built_in_python_equals_the_configured_one():
    configured = compose(["filter=[books,long_titles,length]"]).filter
    assert configured == {"books": Books(), "long_titles": LongTitles(), "length": Length()}


def test_configuration_must_state_every_key():
    with pytest.raises(UserError, match=r"^corpus\.validation_share: is missing$"):
        compose(["corpus=files", "corpus.path=a.csv", "~corpus.validation_share"])
