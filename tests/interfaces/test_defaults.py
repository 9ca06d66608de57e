"""Callers from Python do not have to repeat the defaults in conf/."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bisum import compose
from bisum.corpus.files import Files
from bisum.corpus.filters import Books, Length, LongTitles
from bisum.corpus.hub import Hub
from bisum.corpus.marc import Marc
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.interfaces.defaults import conf_directory, conf_values

CONF = sorted(conf_directory().rglob("*.yaml"))


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


@pytest.mark.parametrize("file", CONF, ids=lambda file: str(file.relative_to(conf_directory())))
def test_files_in_conf_have_the_values_that_omegaconf_reads(file: Path):
    values, expected = conf_values(file.read_text(encoding="utf-8")), OmegaConf.to_container(OmegaConf.load(file))
    assert repr(values) == repr(expected)  # 1 is not 1.0


@pytest.mark.parametrize("number", ["4e-4", "1E3", "-2.5e+2", "1.e2", "0.1", "7"])
def test_numbers_in_conf_are_numbers(number):
    assert conf_values(f"key: {number}") == {"key": float(number)}
