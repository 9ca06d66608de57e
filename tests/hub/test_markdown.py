"""Texts keep their place in Markdown, and readers see what was written."""

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from bisum.hub.markdown import code, escaped, fenced, line, listed, table

RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table")
TEXTS = [
    "plain", "a|b", r"a\|b", r"\\", "`", "``x``", "<b>", "a & b &amp; c", "*x* _y_ [z](u) ![i](j)", "- item", "+",
    "1. one", "12) two", "# heading", "> quote", "=== ---", "---", "~~~", "$x$", "{{ 7*7 }}", "3.14", "-0.5", "日本語",
    "a:b", "@user",
]  # fmt: skip


def words(html):
    return unescape(re.sub(r"<[^>]+>", "", html)).strip()


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_shown_as_it_is(text):
    """Alone in a paragraph, in a list, as code and in a table."""
    assert RENDERER.render(escaped(text)) == f"<p>{RENDERER.renderInline(escaped(text))}</p>\n"
    assert words(RENDERER.render(f"- {escaped(text)}")) == text
    assert words(RENDERER.render(code(text))) == text
    html = RENDERER.render(table(["a", "b"], [[text, code(text)], [code(text), text]]))
    assert [words(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", html)] == [text] * 4


@pytest.mark.parametrize("text", [text for text in TEXTS if text.strip("-~ =")])
def test_code_block_contains_its_text_alone(text):
    tokens = RENDERER.parse(fenced(f"{text}\n```\nx", "python"))
    assert [(token.type, token.content) for token in tokens] == [("fence", f"{text}\n```\nx\n")]


def test_long_texts_and_controls_are_cut():
    assert line("a\n\tb\x1b[2J\u202e\ud800") == "a b[2J?"
    assert line("x" * 300) == "x" * 199 + "…"
    assert line("https://me:secret@host/a.csv?token=secret") == "https://...@host/a.csv?..."
    assert code("") == "`(empty)`"


def test_items_are_joined_as_in_a_sentence():
    assert [listed(["a", "b*", code("c")][:count]) for count in (1, 2, 3)] == ["a", "a and b&#42;", "a, b&#42; and `c`"]
