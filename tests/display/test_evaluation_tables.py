"""What is said of a difference, and the table of several evaluations, from numbers written out here."""

import io
import re

import pytest

from bisum.display.console import Console
from bisum.display.evaluation_tables import difference_table, evaluations_report, verdicts
from bisum.display.scored_rows import ScoredRows

ENDS = ("", "_low", "_high", "_better")


def rows(profile="rouge", **counts):
    """The rows behind scores, by language."""
    return ScoredRows(counts=counts, profile=profile)


def differences(profile="", **parts):
    """`difference/...` metrics, ROUGE-1, -2 and -L alike, from (mean, low, high, better) by language."""
    return {
        f"difference/{profile}{'' if part == 'all' else f'{part}/'}rouge{n}{end}": value
        for part, values in parts.items()
        for n in "12L"
        for end, value in zip(ENDS, values, strict=True)
    }


def test_a_difference_is_better_or_worse_only_if_its_interval_leaves_out_0():
    metrics = differences(all=(3.4, 2.1, 4.7, 100), en=(0.5, -0.81, 1.934, 77.2), es=(-12.6, -13.8, -11.4, 0))
    assert list(verdicts(metrics, rows(en=50, es=10, de=0), "lead-3")) == [
        "all: ROUGE-L is 3.40 above lead-3 (95 % interval 2.10 to 4.70): better",
        "en: ROUGE-L is not distinguishable from lead-3's (95 % interval -0.81 to 1.93, which holds 0)",
        "es: ROUGE-L is 12.60 below lead-3 (95 % interval -13.80 to -11.40): worse",
    ]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0), (0.0, 0.0)])
def test_an_interval_that_ends_at_0_holds_it(low, high):
    (line,) = verdicts(differences(all=(0.4, low, high, 60)), rows(en=10), "lead-1")
    assert "is not distinguishable from lead-1's" in line


def test_one_language_is_told_once():
    values = (3.4, 2.1, 4.7, 100)
    assert len(list(verdicts(differences(all=values, en=values), rows(en=10), "lead-3"))) == 1


def test_a_handful_of_rows_tells_nothing():
    values = (-25.8, -25.8, -25.8, 0)
    lines = list(verdicts(differences(all=values, en=values, es=values), rows(en=9, es=10), "lead-3"))
    assert lines[0].startswith("all: ROUGE-L is 25.80 below lead-3")
    assert lines[1] == "en: 9 rows are too few to tell ROUGE-L from lead-3's"
    assert lines[2].endswith(": worse")


def test_a_single_row_is_said_in_the_singular():
    values = (-25.8, -25.8, -25.8, 0)
    assert list(verdicts(differences(all=values, en=values), rows(en=1), "lead-1")) == [
        "all: 1 row is too few to tell ROUGE-L from lead-1's"
    ]


def test_verdicts_and_differences_are_those_of_the_profile():
    metrics = differences(all=(0, 0, 0, 0)) | differences("unicode/", all=(3.4, 2.1, 4.7, 100))
    assert list(verdicts(metrics, rows("unicode", ar=50), "lead-3")) == [
        "all: ROUGE-L is 3.40 above lead-3 (95 % interval 2.10 to 4.70): better"
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
def test_differences_fit_the_screen_with_as_many_intervals_as_there_is_room_for(width):
    values = (-17.6, -18.9, -16.4, 0.2)
    out = shown(difference_table(differences(all=values, en=values, es=values), rows(en=5671, es=156)), width=width)
    assert max(map(len, out.splitlines())) <= width
    assert out.count("-17.6") == 9
    assert out.count("-18.9 to -16.4") == {60: 0, 80: 3, 120: 9}[width]
    assert re.search(r"^all +5,827 .* 0 %$", out, re.M)


def job(rouge_l, fingerprint="same", split="test", languages=("en", "es"), count=5827):
    prefix = "test" if split == "test" else "eval"
    rouge = {"rouge1": 30.0, "rouge2": 10.0, "rougeL": rouge_l, "rougeL_low": rouge_l - 1, "rougeL_high": rouge_l + 1}
    scores = rouge | {f"{language}/rougeL": rouge_l - 5 for language in languages} | {"gen_len": 12.3}
    return {
        "config": {"languages": list(languages)},
        "status": "finished",
        "baseline": {f"baseline/{name}": 20.0 for name in rouge},
        "evaluation": {
            "model": "mt5-small, mt5, 300.2 M",
            "split": split,
            "rows": count,
            "fingerprint": fingerprint,
            "baseline": "lead-3",
            **{f"{prefix}/{name}": value for name, value in scores.items()},
            **differences(all=(rouge_l - 20, rouge_l - 21, rouge_l - 19, 100)),
        },
    }


@pytest.mark.parametrize("width", [80, 120])
def test_evaluations_fit_the_screen_in_one_table(width):
    jobs = {"0 run=13-05-59-1a2b": job(25.0), "1 run=[en]": {"status": "failed"}, "2 run=c": job(18.0)}
    out = shown(*evaluations_report(jobs), width=width)
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == "test, 5,827 rows: ROUGE F, 95 % intervals of L; lead-3 has 20.0 / 20.0 / 20.0"
    (row,) = (line for line in lines if line.startswith("0 "))
    for score in ("30.0 / 10.0 / 25.0", "20.0 / 20.0", "+5.0", "12.3"):
        assert f" {score}" in row
    assert ("24.0-26.0" in row) == ("+5.0 4.0 to 6.0" in row) == (width == 120)
    assert "24.0-26.0" in out
    assert "4.0 to 6.0" in out
    assert re.search(r"^1 run=\[en\] +failed *$", out, re.M)


def test_the_best_is_bold_where_the_rows_are_the_same():
    out = shown(*evaluations_report({"0 a": job(25.0), "1 b": job(18.0)}), color="standard")
    assert "\x1b[1m25.0" in out
    assert "\x1b[1m+5.0" in out
    assert "\x1b[1m18.0" not in out
    out = shown(*evaluations_report({"0 a": job(25.0), "1 b": job(18.0, "other", "validation")}), color="standard")
    assert "\x1b[1m25.0" not in out
    assert "did not score the same rows" in out
    assert re.search(r"0 a +test ", out)
    assert re.search(r"1 b +validation ", out)


def test_evaluations_of_few_rows_mark_their_intervals():
    out = shown(*evaluations_report({"0 a": job(25.0, count=8)}), width=120)
    assert "24.0-26.0*" in out
    assert "4.0 to 6.0*" in out
    assert "* fewer than 10 rows" in out


def test_evaluations_are_shown_in_the_profile_that_reads_their_languages():
    record = job(0.0, languages=("ar", "en"))
    scores = record["evaluation"] | differences("unicode/", all=(5.0, 4.0, 6.0, 100))
    for name in ("", "ar/", "en/"):
        for n in "12L":
            ends = {"": 31.5, "_low": 30.5, "_high": 32.5}
            scores |= {f"test/unicode/{name}rouge{n}{end}": value for end, value in ends.items()}
    baseline = {f"baseline/unicode/rouge{n}": 26.5 for n in "12L"}
    out = shown(
        *evaluations_report({"0 a": {**record, "profile": "unicode", "evaluation": scores, "baseline": baseline}}),
        width=120,
    )
    assert out.startswith("test, 5,827 rows: ROUGE F of the profile unicode, 95 % intervals of L; lead-3 has 26.5 / ")
    assert "31.5 / 31.5 / 31.5 30.5-32.5" in out
    assert "31.5 / 31.5 " in out
    assert "+5.0 4.0 to 6.0" in out
    assert "-20.0" not in out


def test_many_languages_wrap_in_their_column():
    languages = ("am", "ar", "bn", "de", "en", "es", "fr", "hi", "ja")
    out = shown(*evaluations_report({"0 a": job(25.0, languages=languages), "1 b": job(18.0, languages=languages)}))
    assert out.count("20.0") == 9 + 3
    assert "12.3" in out
    assert max(map(len, out.splitlines())) <= 80
