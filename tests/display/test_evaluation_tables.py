"""Verdicts and tables of differences, for explicit numbers."""

import io
import re

import pytest

from bisum.display.console import Console
from bisum.display.evaluation_tables import difference_table, verdicts
from bisum.display.scored_rows import ScoredRows

ENDS = ("", "_low", "_high", "_better")


def rows(profile="rouge", **counts):
    """The rows behind scores, by language."""
    return ScoredRows(counts=counts, profile=profile)


def differences(profile="", **parts):
    """`difference/...` metrics, equal for ROUGE-1, -2 and -L, from (mean, low, high, better) by language."""
    return {
        f"difference/{profile}{'' if part == 'all' else f'{part}/'}rouge{n}{end}": value
        for part, values in parts.items()
        for n in "12L"
        for end, value in zip(ENDS, values, strict=True)
    }


def test_difference_is_better_or_worse_only_if_its_interval_excludes_0():
    metrics = differences(all=(3.4, 2.1, 4.7, 100), en=(0.5, -0.81, 1.934, 77.2), es=(-12.6, -13.8, -11.4, 0))
    assert list(verdicts(metrics, rows(en=50, es=10, de=0), "lead-3")) == [
        "all: ROUGE-L is 3.40 above lead-3 (95% interval 2.10 to 4.70): better",
        "en: ROUGE-L is not distinguishable from lead-3's (95% interval -0.81 to 1.93, which includes 0)",
        "es: ROUGE-L is 12.60 below lead-3 (95% interval -13.80 to -11.40): worse",
    ]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0), (0.0, 0.0)])
def test_interval_that_ends_at_0_includes_it(low, high):
    (line,) = verdicts(differences(all=(0.4, low, high, 60)), rows(en=10), "lead-1")
    assert "is not distinguishable from lead-1's" in line


def test_single_language_has_one_verdict():
    values = (3.4, 2.1, 4.7, 100)
    assert len(list(verdicts(differences(all=values, en=values), rows(en=10), "lead-3"))) == 1


def test_few_rows_have_no_verdict():
    values = (-25.8, -25.8, -25.8, 0)
    lines = list(verdicts(differences(all=values, en=values, es=values), rows(en=9, es=10), "lead-3"))
    assert lines[0].startswith("all: ROUGE-L is 25.80 below lead-3")
    assert lines[1] == "en: 9 rows are too few to compare ROUGE-L with lead-3's"
    assert lines[2].endswith(": worse")


def test_single_row_uses_the_singular():
    values = (-25.8, -25.8, -25.8, 0)
    assert list(verdicts(differences(all=values, en=values), rows(en=1), "lead-1")) == [
        "all: 1 row is too few to compare ROUGE-L with lead-1's"
    ]


def test_verdicts_and_differences_follow_the_profile():
    metrics = differences(all=(0, 0, 0, 0)) | differences("unicode/", all=(3.4, 2.1, 4.7, 100))
    assert list(verdicts(metrics, rows("unicode", ar=50), "lead-3")) == [
        "all: ROUGE-L is 3.40 above lead-3 (95% interval 2.10 to 4.70): better"
    ]
    assert shown(difference_table(metrics, rows("unicode", ar=50))).count("+3.4") == 3


def test_intervals_from_too_few_rows_are_marked():
    values = (3.4, 2.1, 4.7, 100)
    metrics = differences(all=values, en=values, es=values)
    out = shown(difference_table(metrics, rows(en=9, es=10)), width=120)
    assert re.search(r"^all +19 .* 2\.1 to 4\.7 ", out, re.M)
    assert len(re.findall(r"2\.1 to 4\.7\*", out)) == 3
    assert "* fewer than 10 rows: the interval is not reliable" in out
    assert "*" not in shown(difference_table(metrics, rows(en=10, es=10)), width=120)


def shown(*items, width=80, color=None):
    console = Console(width=width, file=io.StringIO(), force_terminal=color is not None, color_system=color)
    console.print(*items)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_differences_fit_the_screen_with_as_many_intervals_as_possible(width):
    values = (-17.6, -18.9, -16.4, 0.2)
    out = shown(difference_table(differences(all=values, en=values, es=values), rows(en=5671, es=156)), width=width)
    assert max(map(len, out.splitlines())) <= width
    assert out.count("-17.6") == 9
    assert out.count("-18.9 to -16.4") == {60: 0, 80: 3, 120: 9}[width]
    assert re.search(r"^all +5,827 .* 0%$", out, re.M)
