"""Output of a run: filtered by `log`, and without control codes unless on a terminal."""

import io
import logging
import re
import time
import warnings

import pytest
from rich.text import Text

from bisum.display import terminal as module
from bisum.display.console import Console
from bisum.display.scored_rows import ScoredRows
from bisum.display.screen import Screen
from bisum.display.tables import scores_table
from bisum.display.terminal import Terminal

KINDS = ("step", "detail", "news", "result", "warning")


@pytest.mark.parametrize(
    ("log", "job", "shown"),
    [
        ("debug", False, KINDS),
        ("info", False, KINDS[1:]),
        ("quiet", False, ("result", "warning")),
        ("info", True, ("news", "warning")),
        ("quiet", True, ("warning",)),
    ],
)
def test_terminal_follows_log_and_the_file_has_everything(tmp_path, capsys, log, job, shown):
    screen = Screen(tmp_path / "train.log", log, job=job)
    screen.log("a step")
    screen.print("a detail")
    screen.clip("a detail, clipped")
    screen.note("a news")
    screen.print("a result", kind="result")
    screen.warn("a warning")
    screen.close()
    out = capsys.readouterr().out
    assert {kind for kind in KINDS if f"a {kind}" in out} == set(shown)
    file = (tmp_path / "train.log").read_text("utf-8")
    assert all(f"a {kind}" in file for kind in KINDS)


def test_logging_goes_to_the_screen_and_is_restored_afterwards(tmp_path, capsys):
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("bisum").level)
    screen = Screen(tmp_path / "train.log")
    logging.getLogger("bisum.corpus.files").info("guessed: document=text")
    logging.getLogger("bisum.corpus.files").warning("a row is\nodd")
    logging.getLogger("somelibrary").info("never")
    logging.getLogger("somelibrary").warning("whatever")
    warnings.warn("a library's warning", stacklevel=1)
    screen.close()
    assert (list(root.handlers), root.level, logging.getLogger("bisum").level) == before
    shown = capsys.readouterr()
    assert shown.out == "> guessed: document=text\n> warning: a row is odd\n"
    assert shown.err == ""
    file = (tmp_path / "train.log").read_text("utf-8")
    assert "WARNING somelibrary: whatever" in file
    assert "a library's warning" in file
    assert "never" not in file


def test_without_a_terminal_only_long_stages_print_lines(capsys, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_LINE", 0.2)
    monkeypatch.setattr(module, "_INTERVAL", 0.2)
    terminal = Terminal()
    with terminal.progress("short", 3) as bar:
        bar.advance(1)
    with terminal.progress("tokenizing train", 3000) as bar:
        time.sleep(0.5)
        bar.advance(1000, "loss 1.0")
    assert capsys.readouterr().out == "tokenizing train ...\ntokenizing train 1,000 of 3,000  loss 1.0\n"
    with Terminal(bars=False).progress("quiet"):
        time.sleep(0.5)
    assert capsys.readouterr().out == ""


def test_texts_do_not_control_the_terminal_or_the_log(tmp_path, capsys):
    evil = "\x1b]0;title\x07\x1b[2J \x9b3J [/] [red]x[/red]"
    screen = Screen(tmp_path / "train.log", "debug")
    screen.print(evil, Text(evil))
    screen.clip(evil)
    screen.note(evil)
    screen.warn(evil)
    screen.log(f"Traceback\n{evil}\n")
    logging.getLogger("bisum.corpus.files").warning(evil)
    logging.getLogger("somelibrary").warning(evil)
    warnings.warn(evil, stacklevel=1)
    screen.close()
    shown = capsys.readouterr().out
    for text in (shown, (tmp_path / "train.log").read_text("utf-8")):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
        assert text.count("]0;title[2J 3J [/] [red]x[/red]") == 9


@pytest.mark.parametrize("width", [60, 80, 120])
def test_scores_fit_the_screen_untruncated(width):
    names = [f"{infix}{rouge}" for infix in ("", "en/", "es/") for rouge in ("rouge1", "rouge2", "rougeL")]
    metrics = {
        f"{p}/{name}{end}": 21.8 for p in ("eval", "baseline") for name in names for end in ("", "_low", "_high")
    }
    rows = ScoredRows(counts={"en": 100, "es": 100}, profile="rouge")
    console = Console(width=width, file=io.StringIO())
    console.print(scores_table(metrics, "eval", rows, ("lead-3", metrics)))
    out = console.file.getvalue()
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= width
    assert len(re.findall(r"21\.8 / 21\.8 / 21\.8", out)) == 3
    assert ("21.8-21.8" in out) == (width >= 80)


def test_interval_of_a_single_row_is_marked():
    metrics = {f"eval/rouge{n}{end}": 80.0 for n in "12L" for end in ("", "_low", "_high")}
    console = Console(width=80, file=io.StringIO())
    console.print(scores_table(metrics, "eval", ScoredRows(counts={"en": 1}, profile="rouge")))
    out = console.file.getvalue()
    assert out.count("80.0 80.0-80.0*") == 3
    assert "* fewer than 10 rows: the interval is not reliable" in out
