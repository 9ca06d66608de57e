"""Settings of commands without composition: each argument is read by the type of its key."""

from dataclasses import fields

import pytest

from bisum.config.options import CompareOptions
from bisum.config.plain import PLAIN_SCHEMAS, plain_options
from bisum.errors import UserError
from bisum.interfaces.defaults import defaults_of


def option(argument: str):
    return getattr(plain_options("compare", [argument]), argument.partition("=")[0])


@pytest.mark.parametrize("command", PLAIN_SCHEMAS)
def test_every_key_has_a_default(command):
    assert [field.name for field in fields(PLAIN_SCHEMAS[command])] == list(defaults_of(command))
    assert isinstance(plain_options(command, []), PLAIN_SCHEMAS[command])


def test_missing_arguments_have_their_defaults():
    options = plain_options("compare", ["rows=7"])
    assert options == CompareOptions(**{**defaults_of("compare"), "rows": 7})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("language=no", "no"),  # Norwegian
        ("language=yes", "yes"),
        ("language=1e5", "1e5"),
        ("language=123", "123"),
        ("language=null", None),
        ("by=true", "true"),
        ("by=null", "null"),
        ("by=unicode/rougeL", "unicode/rougeL"),
        ("by=a=b", "a=b"),
        ("output=a b.txt", "a b.txt"),
        ("output='a'", "'a'"),
        ("output=[a]", "[a]"),
        ("output=${seed}", "${seed}"),
        ("rows=0", 0),
        ("rows=007", 7),
        ("samples=100000", 100_000),
        ("pair=[1,3]", [1, 3]),
        ("pair= [ 3 , 1 ] ", [3, 1]),
        ("pair=null", None),
        ("metrics=[]", []),
        ("metrics=[ ]", []),
        ("metrics=[rouge1]", ["rouge1"]),
        ("metrics=[rouge1, chrf]", ["rouge1", "chrf"]),
        ("metrics=[1,no]", ["1", "no"]),
    ],
)
def test_a_value_has_the_type_of_its_key(argument, value):
    found = option(argument)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("samples=1e5", "samples: expected a whole number >= 1000, not '1e5'"),
        ("samples=1_000", "samples: expected a whole number"),
        ("samples=1000.0", "samples: expected a whole number"),
        ("samples=null", "samples: "),
        ("samples=", "samples: "),
        ("samples=²", "samples: "),
        ("samples=" + "9" * 10_000, "samples: "),
        ("samples=1000001", "samples: expected a whole number >= 1000 and <= 1,000,000, not 1000001"),
        ("rows=true", "rows: "),
        ("rows=1001", "rows: "),
        ("metrics=rouge1", "metrics: "),
        ("metrics=null", "metrics: "),
        ("metrics=[rouge1", "metrics: "),
        ("metrics=[rouge1,]", "metrics"),
        ("pair=1,3", "pair: "),
        ("pair=[1]", "pair: "),
        ("pair=[1,2,3]", "pair: "),
        ("pair=[0,1]", "pair"),
        ("pair=[a,2]", "pair[0]: expected a whole number >= 1, not 'a'"),
        ("split=[test]", "split: "),
        ("split=Test", "split: "),
        ("by=", "by: "),
        ("language=", "language: "),
        ("output=", "output: "),
        ("nothing=1", "nothing: no such key"),
        ("by.name=1", "by.name"),
        ("=1", ""),
    ],
    ids=lambda text: text[:20],
)
def test_invalid_value_is_refused_with_its_key(argument, message):
    with pytest.raises(UserError) as raised:
        plain_options("compare", [argument])
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_similar_key_is_suggested():
    with pytest.raises(UserError, match="metric: no such key, did you mean 'metrics'"):
        plain_options("compare", ["metric=[chrf]"])


def test_each_invalid_key_has_its_own_line():
    with pytest.raises(UserError) as raised:
        plain_options("compare", ["rows=x", "samples=y", "nothing=z"])
    assert {line.partition(":")[0] for line in str(raised.value).split("\n")} == {"rows", "samples", "nothing"}


@pytest.mark.parametrize("arguments", [["by=chrf", "by=chrf"], ["rows=1", "split=test", "rows=2"]])
def test_repeated_key_is_refused(arguments):
    with pytest.raises(UserError, match=f"'{arguments[-1]}': {arguments[-1].partition('=')[0]} is given twice"):
        plain_options("compare", arguments)


@pytest.mark.parametrize("argument", ["+by=chrf", "++by=chrf", "~by", "~by=chrf", "by"])
def test_hydra_syntax_is_refused(argument):
    with pytest.raises(UserError) as raised:
        plain_options("compare", [argument])
    assert str(raised.value) == f"'{argument}': bisum compare accepts only key=value settings"
