"""Printed text has no control sequences, and keeps every letter of every script."""

import io
import json
import sys

import pytest

from bisum.printing import CleanStream, as_json, clean, clean_standard_streams, uncleaned

KEPT = [
    "plain text",
    "two\nlines",
    "می‌خواهم",  # a zero-width non-joiner
    "क्‍ष",  # a zero-width joiner
    "👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️",
    "soft\u00adhyphen",
    "e\u0301 and \u00a0 a blank that does not break",
    "\u200fעברית\u200e",
]


@pytest.mark.parametrize("text", KEPT)
def test_letters_marks_and_joiners_stay(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b]0;title\x07\x1b[2J A cat", "]0;title[2J A cat"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b\x1b[31m[2J", "[2J"),
        ("\x1b[31\x1b[31mm", "[31m"),
        ("\x9b2J\x9d0;title\x9c", "2J0;title"),
        ("a\tb\rc\x0bd\x0ce\x85f\u2028g\u2029h", "a b c d e f g h"),
        ("nul\x00 bs\x08 del\x7f", "nul bs del"),
        ("\u202eevil\u202c \u2066x\u2069 \u202a\u202b\u202d\u2067\u2068", "evil x "),
    ],
)
def test_control_characters_are_dropped(text, cleaned):
    assert clean(text) == cleaned


def test_no_control_character_of_unicode_is_left():
    everything = "".join(map(chr, range(0x110000)))
    left = {char for char in clean(everything) if ord(char) < 32 or 0x7F <= ord(char) < 0xA0}
    assert left == {"\n"}


def test_json_has_escapes_and_the_same_data():
    data = {"\x9bkey": ["\x1b[2J\x7f\x9b\u202e\u2028", "ñ 日本 👩‍👩‍👧", 1.5, None]}
    for indent in (None, 1):
        text = as_json(data, indent)
        assert json.loads(text) == data
        assert clean(text) == text
        assert "ñ 日本 👩‍👩‍👧" in text


def test_every_method_of_writing_to_a_stream_is_cleaned():
    below = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = CleanStream(below)
    assert stream.write("\x1b[2Jñ") == 5
    stream.writelines(["\x9ba\n", "b\x07"])
    print("\udc9b\x1b", "c", file=stream, flush=True)
    assert below.buffer.getvalue() == rb"[2J\xf1a" b"\n" rb"b\udc9b c" b"\n"
    assert (stream.encoding, stream.isatty(), uncleaned(stream), uncleaned(below)) == ("ascii", False, below, below)


def test_closed_standard_streams_are_supported(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clean_standard_streams()
    assert sys.stdout is None
    print("\x1b[2J", file=sys.stderr)
    assert uncleaned(sys.stderr).getvalue() == "[2J\n"


def test_library_that_closes_other_streams_spares_the_standard_ones(capsys, monkeypatch):
    """absl's logging handler does this when Python's logging is reconfigured."""
    own = sys.stderr
    monkeypatch.setattr(sys, "stderr", CleanStream(own))
    assert own in (sys.stdout, sys.stderr)
    assert io.StringIO() not in (sys.stdout, sys.stderr)
