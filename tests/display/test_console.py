"""Untrusted texts neither control the terminal nor style themselves, in any renderable."""

import io
import re

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from bisum.display.console import Console
from bisum.display.terminal import Terminal

EVIL = "\x1b]0;title\x07\x1b[2J\x9b3J\x9d8;;file:///x\x9c\u202e\x00"
MARKUP = ["[red]x[/red]", "[/]", "[/red]", "[link=file:///etc/passwd]x[/link]", ":cat:", "[bold", r"\[red]x"]
STYLES = re.compile(r"\x1b\[[0-9;]*m")


def shown(*items, **options):
    console = Console(io.StringIO(), **{"width": 120, "force_terminal": True, "color_system": "truecolor"} | options)
    for item in items:
        console.print(item)
    return console.file.getvalue()


def everywhere(text):
    """All rich objects that commands show, with a text in every position."""
    table = Table(title=text, caption=text)
    table.add_column(text, justify="right")
    table.add_column(Text(text), overflow="fold")
    table.add_row(text, Text(text))
    grid = Table.grid(expand=True)
    grid.add_column(ratio=1)
    grid.add_row(Text.assemble(text, (text, "bold")))
    return [text, Text(text), table, grid]


def test_control_characters_are_removed_from_all_objects():
    out = STYLES.sub("", shown(*everywhere(f"a{EVIL}b")))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    assert out.count("a]0;title[2J3J8;;file:///xb") == 10


@pytest.mark.parametrize("text", MARKUP)
def test_markup_in_data_is_not_interpreted(text):
    out = shown(*everywhere(text))
    assert STYLES.sub("", out).count(text) == 10
    assert "\x1b]8" not in out
    assert "\x1b[31m" not in out


def test_style_objects_are_kept():
    assert "\x1b[1mbold\x1b[0m" in shown(Text("bold", "bold"))


def test_table_width_follows_its_clean_text():
    def table(text):
        table = Table()
        table.add_column(text)
        table.add_row(text)
        return shown(table)

    assert table("a\u2028\x1b]b\tc\x85") == table("a ]b c ")


def test_bar_titles_and_texts_are_not_interpreted():
    console = Console(io.StringIO(), width=100, force_terminal=True)
    terminal = Terminal()
    terminal.console = console
    with terminal.progress(f"[red]reading[/red] {EVIL}", 3) as bar:
        assert isinstance(bar.display, Progress)
        assert all(not column.markup for column in bar.display.columns if isinstance(column, TextColumn))
        bar.advance(1, f"[/] {EVIL}")
        bar.display.refresh()
    out = console.file.getvalue()
    assert "[red]reading[/red] ]0;title[2J" in STYLES.sub("", out)
    assert "[/] ]0;title[2J" in STYLES.sub("", out)
    assert "\x1b[2K" in out  # rich's own cursor movements
    assert not re.search(r"\x1b\]|\x1b\[2J|[\x80-\x9f\u202e]", out)


def test_other_output_during_a_bar_is_clean_and_unstyled(monkeypatch):
    console = Console(io.StringIO(), width=100, force_terminal=True, color_system="truecolor")
    terminal = Terminal()
    terminal.console = console
    with terminal.progress("reading", 3):
        print(f"\x1b[31mred\x1b]8;;file:///etc/passwd\x1b\\link {EVIL}")
    (line,) = (line for line in console.file.getvalue().splitlines() if "red" in line)
    assert "red]8;;file:///etc/passwd\\link ]0;title[2J" in line
    assert not re.search(r"\x1b\]|\x1b\[2J|\x1b\[31m|[\x80-\x9f\u202e]", line)
