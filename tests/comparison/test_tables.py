"""Tables for people and programs: their content, and the escaping of untrusted texts."""

import csv
import json
import re
from io import StringIO

import pytest
from compared_runs import change, record

from bisum import compare
from bisum.comparison.breakdown import where
from bisum.comparison.breakdown_tables import breakdown_report
from bisum.comparison.formats import as_csv, as_data, as_latex, as_markdown
from bisum.comparison.result import BEST, SAME
from bisum.comparison.tables import explanations, p_value, report
from bisum.display.console import Console

HOSTILE = "=1+1 [bold red]x[/] `y` | <b> & % $ # _ {z} ~ ^ \\ *s* \x1b[31mred \u202e\u2066 \x07 \x00 \r\nnext\ttab é 汉"
SHOWN = "=1+1 [bold red]x[/] `y` | <b> & % $ # _ {z} ~ ^ \\ *s* red"


@pytest.fixture(scope="module")
def comparison(sweep):
    return compare(sweep, metrics=["chrf", "words"], samples=1000)


@pytest.fixture
def hostile(runs):
    """Runs with hostile settings, summaries and reasons."""
    for at in "01":
        change(runs / at, config__model__prefix=HOSTILE)
    for path in runs.glob("*/predictions/test-*.jsonl"):
        rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
        for row in rows:
            row |= dict.fromkeys(("prediction", "document", "reference", "category"), HOSTILE)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    change(runs / "3", status="failed", reason=HOSTILE)
    return runs


@pytest.fixture
def printed(monkeypatch, capfd):
    """Render a comparison as terminal text of a given width."""

    def text(comparison, width: int = 200) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        capfd.readouterr()
        Console().print(*report(comparison), sep="\n")
        if found := where(comparison, None, 2):
            Console().print(*breakdown_report(comparison, found), sep="\n")
        return capfd.readouterr().out

    return text


def line_of(text: str, number: int) -> str:
    """The first table line for a system."""
    return next(line for line in text.splitlines() if re.match(rf"{number} ", line))


def test_line_has_score_interval_difference_and_mark(comparison, printed):
    text = printed(comparison)
    best = comparison.systems[0]
    for system in comparison.systems:
        line = line_of(text, system.number)
        assert f" {system.value:.1f} {system.low:.1f}-{system.high:.1f} " in line
        assert " / ".join(f"{value:.1f}" for value in system.by_language.values()) in line
        assert line.split()[-1] == {BEST: "best", SAME: "="}[system.verdict]
        if system is not best:
            pair = comparison.groups[0].pair(1, system.number)
            assert f" {-pair.difference:+.1f} " in line
            assert p_value(pair.p_adjusted) in line
    assert "learning_rate" in text
    assert (
        "test, 40 rows (en 20, es 20): rougeL, F1 of the longest common subsequence of words; higher is better" in text
    )


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("by", ["rougeL", "unicode/rougeL", "chrf", "words", "loss"])
def test_tables_fit_their_terminal(sweep, printed, width, by):
    text = printed(compare(sweep, by=by, metrics=["rouge1", "rouge2", "chrf", "gen_len"], samples=1000), width)
    assert max(map(len, text.splitlines())) <= width
    tables = re.sub(r"^document .*?^reference ", "", text, flags=re.MULTILINE | re.DOTALL)  # truncated on purpose
    assert "…" not in tables
    assert "0.005" in tables


def test_many_long_settings_fit_80_columns(runs, printed):
    for at, run in enumerate(sorted(runs.glob("[0-9]"))):
        change(run, config__generation__num_beams=at + 1, config__generation__length_penalty=at + 0.125)
        change(run, config__model__prefix="summarize the following text in one line: " * at)
    text = printed(compare(runs, samples=1000), 80)
    assert max(map(len, text.splitlines())) <= 80
    for at in range(4):
        assert f"num_beams={at + 1}" in "".join(text.split())


def test_best_of_each_further_score_is_bold(comparison, monkeypatch, capfd):
    monkeypatch.setenv("FORCE_COLOR", "1")
    capfd.readouterr()
    Console(force_terminal=True, width=120).print(*report(comparison), sep="\n")
    bold = re.findall(r"\x1b\[1m *([\d.]+)", capfd.readouterr().out)
    chrf = max(system.metrics["chrf"] for system in comparison.systems)
    assert f"{chrf:.1f}" in bold
    assert f"{min(system.metrics['words'] for system in comparison.systems):.2f}" not in bold  # no better direction


def test_terminal_escapes_hostile_texts(hostile, printed):
    comparison = compare(hostile, samples=1000)
    text = printed(comparison, 400)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert text.count("[bold red]x[/]") >= 2  # a setting and a reason
    assert re.search(r"failed +=1\+1 \[bold red\]x\[/\]", text)
    assert SHOWN in text


def cells(line: str) -> list[str]:
    """The cells of a Markdown table line, which escaped bars do not separate."""
    return re.split(r"(?<!\\)\|", line)[1:-1]


def test_markdown_escapes_hostile_texts_in_cells(hostile):
    comparison = compare(hostile, samples=1000)
    text = as_markdown(comparison, where(comparison, None, 3))
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 4  # systems, tests, wins and losses, unfinished runs
    for table in tables:
        assert len({len(cells(line)) for line in table}) == 1
        assert set(table[1]) <= set("|- ")
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    for sign in "`*<[":
        assert not re.search(rf"(?<![\\&]){re.escape(sign)}", text), sign
    assert "&amp;" in text
    assert "failed" in tables[3][2]


def test_markdown_has_the_same_numbers_as_the_terminal(comparison):
    text = as_markdown(comparison, None)
    rows = [cells(line) for line in text.splitlines() if re.match(r"\| \d ", line)]
    assert len([row for row in rows if "minus" not in row[0]]) == len(comparison.systems)
    for system, row in zip(comparison.systems, rows, strict=False):
        assert f" {system.value:.1f} " in row
        assert f" {system.low:.1f}-{system.high:.1f} " in row
    assert all(line in text.replace("\\", "") for line in explanations(comparison, comparison.groups[0]))


def test_latex_marks_the_best_and_indistinguishable_systems(comparison):
    text = as_latex(comparison)
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line]
    assert len(lines) == len(comparison.systems)
    for system, line in zip(comparison.systems, lines, strict=True):
        assert (rf"\textbf{{{system.value:.1f}}}" in line) == (system.verdict == BEST)
        assert (rf"{system.value:.1f}$^\dagger$" in line) == (system.verdict == SAME)
        assert line.endswith(r" \\")
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
    assert {line.count("&") + 1 for line in lines} == {len(columns)}
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1


def test_latex_escapes_special_characters(hostile):
    text = as_latex(compare(hostile, samples=1000))
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", text)
    body = text.partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    line = next(line for line in body.splitlines() if "bold red" in line)
    assert r"\& \% \$ \# \_ \{z\} \textasciitilde{} \textasciicircum{} \textbackslash{} *s*" in line
    assert len({len(re.split(r"(?<!\\)&", other)) for other in body.splitlines() if other}) == 1
    comments = [line for line in text.splitlines() if line.startswith("%")]
    assert all(line.startswith(("%", "\\")) or line.endswith(r"\\") or not line for line in text.splitlines())
    assert comments


def read_csv(comparison) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(as_csv(comparison), newline="")))


def test_csv_has_a_line_per_system_with_full_precision(comparison):
    lines = read_csv(comparison)
    assert len(lines) == len(comparison.systems)
    for system, line in zip(comparison.systems, lines, strict=True):
        assert float(line["value"]) == system.value
        assert float(line["rougeL es"]) == system.by_language["es"]
        assert float(line["chrf"]) == system.metrics["chrf"]
        assert line["seeds"] == " ".join(map(str, system.seeds))
        assert line["verdict"] == system.verdict
    assert [line["trainer.learning_rate"] for line in lines].count("") == 1  # lead-2


def test_csv_has_no_formulas_and_no_line_breaks(hostile):
    change(hostile / "0", config__model={**record(hostile / "0")["config"]["model"], "=HYPERLINK(1)": "@x"})
    comparison = compare(hostile, samples=1000)
    text = as_csv(comparison)
    assert (
        len(text.splitlines())
        == len(list(csv.reader(StringIO(text))))
        == 1 + sum(len(g.systems) for g in comparison.groups)
    )
    for line in csv.reader(StringIO(text)):
        for cell in line:
            assert not cell.startswith(("=", "+", "@", "-")) or re.fullmatch(r"-?[\d.e-]+", cell)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", text)
    assert "'=1+1 [bold red]" in text


def test_json_keeps_every_text(hostile):
    comparison = compare(hostile, samples=1000)
    text = as_data(comparison, where(comparison, None, 3))
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    data = json.loads(text, parse_constant=pytest.fail)
    assert {other["reason"].partition(" Best so far")[0] for other in data["others"]} == {HOSTILE}
    prefixes = {s["settings"].get("model.prefix", "") for group in data["groups"] for s in group["systems"]}
    assert HOSTILE in prefixes
    assert {row["document"] for row in data["where"]["rows"]} == {HOSTILE}


def test_json_has_no_non_finite_numbers(runs):
    change(runs / "0", config__trainer__learning_rate=float("nan"))
    change(runs / "1", config__trainer__learning_rate=float("inf"))
    json.loads(as_data(compare(runs, samples=1000), None), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("p", "text"), [(0, "<0.001"), (0.0009, "<0.001"), (0.05, "0.050"), (1, "1.000"), (float("nan"), "-")]
)
def test_p_values_have_three_decimals(p, text):
    assert p_value(p) == text


def test_seeds_are_explained(sweep, runs):
    def notes(*paths) -> str:
        comparison = compare(*paths, samples=1000)
        return " ".join(explanations(comparison, comparison.groups[0]))

    assert (
        "2 seeds per system: intervals and tests account for variation across rows and seeds. "
        "With two seeds, only large differences can be found; train three or more."
    ) in notes(sweep)
    assert "One seed per system: intervals and tests account for variation across rows, not seeds." in notes(
        sweep / "0", sweep / "2"
    )
    mixed = notes(sweep / "0", sweep / "1", sweep / "2")
    assert "A system with one seed is assumed to vary across seeds as much as the system it is compared with." in mixed
    assert "p-values: paired bootstrap, 1,000 resamples, Holm-adjusted over 3 pairs." in mixed
