"""`bisum compare` from the command line: formats, files, refusals, and unchanged inputs."""

import csv
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from compared_runs import change, scores_path

import bisum
from bisum.cli.completion import answer
from bisum.interfaces.defaults import defaults_of

FEW = "samples=1000"


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Times of all files and folders below a folder, and contents of the files."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


class Texts(HTMLParser):
    """The text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


CHECKS = {
    "markdown": lambda text: text.startswith("test, 40 rows") and "| 1 | " in text,
    "csv": lambda text: [line["number"] for line in csv.DictReader(StringIO(text))] == ["1", "2", "3"],
    "json": lambda text: [system["number"] for system in json.loads(text)["groups"][0]["systems"]] == [1, 2, 3],
    "latex": lambda text: r"\begin{tabular}" in text,
}


@pytest.mark.parametrize("name", CHECKS)
def test_each_format_is_the_same_on_standard_output_and_in_a_file(call_bisum, sweep, tmp_path, name):
    done = call_bisum("compare", str(sweep), f"format={name}", FEW)
    assert done.code == 0
    assert CHECKS[name](done.out)
    assert done.err == ""
    assert list(tmp_path.iterdir()) == []
    again = call_bisum("compare", str(sweep), f"format={name}", FEW, "output=tables/of runs.txt")
    assert again.out == "written to tables/of runs.txt\n"
    assert (tmp_path / "tables/of runs.txt").read_text("utf-8") == done.out


def test_page_is_written_into_the_compared_folder(call_bisum, runs, tmp_path):
    before, names = state(runs / "0"), {path.name for path in runs.iterdir()}
    done = call_bisum("compare", "runs", "format=html", FEW)
    assert (done.code, done.out) == (0, "written to runs/comparison.html\n")
    page = Texts()
    page.feed((runs / "comparison.html").read_text("utf-8"))
    assert any("learning_rate" in text for text in page.texts)
    assert {path.name for path in runs.iterdir()} == {*names, "comparison.html"}
    assert state(runs / "0") == before
    assert call_bisum("compare", "runs/0", "format=html", FEW).out == "written to comparison.html\n"
    assert state(runs / "0") == before


@pytest.mark.parametrize(
    "arguments", [[], ["format=json"], ["format=html", "output={}/page.html"], ["by=chrf", "language=es"]]
)
def test_compared_runs_stay_unchanged(call_bisum, runs, tmp_path_factory, arguments):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    before = state(runs)
    assert call_bisum("compare", str(runs), FEW, *(argument.format(elsewhere) for argument in arguments)).code == 0
    assert state(runs) == before


def test_table_is_followed_by_tests_and_differing_rows(call_bisum, sweep):
    done = call_bisum("compare", str(sweep), FEW, "rows=2")
    assert done.code == 0
    assert done.err == ""
    for part in (
        "test, 40 rows (en 20, es 20): rougeL",
        "1 minus 2",
        "2 vs. 3",
        "rows with the largest differences",
    ):
        assert part in done.out
    assert done.out.count("\ndocument   ") == 2
    assert "rows with the largest differences" not in call_bisum("compare", str(sweep), FEW, "rows=0").out
    assert "3 vs. 1" in call_bisum("compare", str(sweep), FEW, "pair=[3,1]").out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "compare: give run directories, or folders that contain them, such as outputs"),
        (["nowhere"], "'nowhere' does not exist; give run directories or folders that contain them"),
        (["."], "'.' contains no run; neither it nor a folder below it has a run.json"),
        (["{}", "by=rougel"], "by: no run has the score 'rougel', did you mean 'rougeL'?"),
        (["{}", "by=test/rougeL"], "by: 'test/rougeL' includes a split or a language; use by=rougeL"),
        (["{}", "metrics=[bleu]"], "metrics: no run has the score 'bleu'"),
        (["{}", "metrics=chrf"], "metrics: "),
        (["{}", "language=fr"], "language: no run has scored rows in 'fr' (valid: en, es)"),
        (["{}", "split=dev"], "split: "),
        (["{}", "samples=1e5"], "samples: expected a whole number >= 1000, not '1e5'"),
        (["{}", "samples=999"], "samples: expected a whole number >= 1000, not 999"),
        (["{}", "rows=-1"], "rows: expected a whole number >= 0, not -1"),
        (["{}", "pair=[1,9]"], "pair: no system 9 with row scores; choose two of 1, 2, 3"),
        (["{}", "pair=[1,1]"], "pair: 1 is repeated; choose two of 1, 2, 3"),
        (["{}", "pair=[1]"], "pair: "),
        (["{}", "pair=[1,2]", "by=loss"], "pair: no system has row scores"),
        (["{}", "format=pdf"], "format: "),
        (["{}", "output=table.txt"], "output: unknown ending; set a format, such as format=markdown"),
        (["{}", "colour=red"], "colour: no such key (valid: by, split, language,"),
        (["{}", "model=tiny"], "model: no such key"),
        (["{}", "by=rougeL", "by=chrf"], "'by=chrf': by is given twice; give it once"),
        (["{}", "+by=chrf"], "'+by=chrf': bisum compare accepts only key=value settings"),
        (["{}", "~by"], "'~by': bisum compare accepts only key=value settings"),
        (["{}", "-m"], "-m: not supported by bisum compare; its settings are key=value"),
        (["{}", "--cfg", "job"], "--cfg: not supported by bisum compare; its settings are key=value"),
        (["{}", "--config-dir", "."], "--config-dir: not supported by bisum compare; its settings are key=value"),
        (["{}", "--", "text"], "bisum compare accepts no texts after '--'; use bisum summarize"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_refused_in_one_line(call_bisum, one_line, sweep, arguments, line):
    done = call_bisum("compare", *(argument.format(sweep) for argument in arguments))
    assert one_line(done).startswith(f"bisum: {line}")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("folder", "is a folder; give a file name"),
        ("file.txt/below/table.csv", "cannot be written: "),
        ("/proc/table.csv", "cannot be written: "),
        ("pipe", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("x" * 300, "cannot be written: File name too long"),
    ],
)
def test_unwritable_output_is_refused(call_bisum, one_line, sweep, tmp_path, output, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("precious", "utf-8")
    os.mkfifo(tmp_path / "pipe")
    done = call_bisum("compare", str(sweep), FEW, "format=csv", f"output={output}")
    assert one_line(done).startswith(f"bisum: output: '{output}' {message}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder", "pipe"]
    assert (tmp_path / "file.txt").read_text("utf-8") == "precious"
    assert Path("/dev/null").is_char_device()


def test_linked_output_replaces_the_link(call_bisum, sweep, tmp_path):
    (tmp_path / "victim").write_text("precious", "utf-8")
    (tmp_path / "table.csv").symlink_to(tmp_path / "victim")
    assert call_bisum("compare", str(sweep), FEW, "format=csv", "output=table.csv").code == 0
    assert (tmp_path / "victim").read_text("utf-8") == "precious"
    assert (tmp_path / "table.csv").read_text("utf-8").startswith("group,")


def test_notes_on_a_csv_table_go_to_standard_error(call_bisum, runs):
    scores_path(runs / "3").unlink()
    done = call_bisum("compare", "runs", "format=csv", FEW)
    assert done.code == 0
    assert "recorded score is shown but not tested" in done.err
    assert "not tested" in done.out  # the verdict
    assert len(done.out.splitlines()) == 1 + 5


def test_runs_without_scores_are_listed(call_bisum, runs):
    for at in "0123":
        change(runs / at, status="failed", reason="the disk is full")
    done = call_bisum("compare", "runs")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("the disk is full") == 4
    for name in ("markdown", "csv", "json", "latex"):
        assert call_bisum("compare", "runs", f"format={name}").code == 0


def test_missing_texts_are_reported_after_the_table(call_bisum, runs):
    for path in runs.glob("*/predictions/test-*.jsonl"):
        path.unlink()
    done = call_bisum("compare", "runs", FEW)
    assert done.code == 0
    assert "test, 40 rows" in done.out
    assert done.err.startswith("bisum: the rows are not shown: '")
    asked = call_bisum("compare", "runs", FEW, "pair=[1,2]")
    assert (asked.code, asked.out) == (2, "")


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["format=json"], 141), (["format=csv"], 141)])
def test_closed_pipe_ends_the_command_silently(sweep, arguments, code):
    root = str(Path(bisum.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "bisum", "compare", str(sweep), FEW, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == code
    assert errors == b""


def test_help_explains_every_setting(call_bisum):
    done = call_bisum("compare", "--help")
    assert done.code == 0
    for key in defaults_of("compare"):
        assert f"\n  {key}=" in done.out
    assert "bisum compare RUN-or-FOLDER ... [key=value ...]" in done.out
    assert "  bisum compare outputs by=rougeL language=es" in done.out


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("bisum comp", ["compare"]),
        ("bisum compare outputs ", ["outputs/", *(f"{key}=" for key in defaults_of("compare"))]),
        ("bisum compare outputs sa", ["samples="]),
        ("bisum compare outputs split=", [f"split={name}" for name in ("auto", "train", "validation", "test")]),
        ("bisum compare outputs format=m", ["format=markdown"]),
        ("bisum compare outp", ["outputs/", "output="]),
        ("bisum compare model", []),
    ],
)
def test_completion_offers_folders_and_settings(monkeypatch, tmp_path, line, arguments):
    (tmp_path / "outputs").mkdir()
    (tmp_path / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMP_LINE", line)
    offered = [found.partition("\t")[0] for found in answer(["-sc", "query=zsh"]).splitlines()]
    assert sorted(offered) == sorted(arguments)


def test_run_with_an_equals_sign_in_its_name_is_a_run(call_bisum, runs, tmp_path):
    (runs / "0").rename(tmp_path / "lr=0.02")
    done = call_bisum("compare", "lr=0.02", "format=json", FEW)
    assert done.code == 0
    assert json.loads(done.out)["groups"][0]["systems"][0]["runs"] == ["lr=0.02"]
