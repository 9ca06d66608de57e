"""Decoding of text files: UTF-8, or UTF-16 and UTF-32 if a byte order mark or the first bytes indicate them."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from itertools import chain
from typing import IO

from bisum.errors import UserError

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # first, since it begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

_ARCHIVES = {b"PK\x03\x04": "a workbook or a ZIP archive", b"\x1f\x8b": "a gzip file", b"Rar!": "an archive"}
"""The first bytes of files that are not text."""


def text_lines(file: IO[bytes], url: str) -> Iterator[str]:
    """Yield a file's lines, split at LF, with their line ends.

    Raises UserError for a line that is not UTF-8 and for a file that does not match its stated encoding.
    """
    first = file.readline()
    for start, what in _ARCHIVES.items():
        if first.startswith(start):
            raise UserError(f"{url}: is {what}, not text; save its contents as text, or add the right extension")
    if encoding := _wide_encoding(first):
        yield from io.StringIO(_decoded(first + file.read(), url, encoding), newline="\n")
        return
    number = 1
    try:
        if not first:
            return  # a terminal would wait for more input
        for number, line in enumerate(chain([first.removeprefix(codecs.BOM_UTF8)], file), start=1):
            if b"\0" in line:
                raise UserError(
                    f"{url}, line {number}: contains a NUL character; save the file as UTF-8 (a UTF-16 file must begin "
                    "with a byte order mark)"
                )
            yield line.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(url, number, error.start + 1) from error


def every_line(file: IO[bytes], url: str) -> Iterator[str]:
    """Yield a file's lines, split at LF, CR or CRLF. Raises UserError like `text_lines`."""
    for line in text_lines(file, url):
        yield from split_lines(line) if has_lone_return(line) else (line,)


def decoded(content: bytes, url: str) -> str:
    """Return the text of a whole file. Raises UserError like `text_lines`."""
    return _decoded(content, url, _wide_encoding(content))


def _decoded(content: bytes, url: str, encoding: str | None) -> str:
    try:
        return content.decode(encoding or "utf-8-sig").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if encoding:
            problem = f"begins as {encoding}, but byte {error.start + 1} is not valid"
            raise UserError(f"{url}: {problem}; convert the file to UTF-8") from error
        before = error.object[: error.start]  # without a byte order mark
        raise _not_utf8(url, before.count(b"\n") + 1, len(before) - before.rfind(b"\n")) from error


def split_lines(line: str) -> Iterator[str]:
    """Yield the lines of a text, split at CR, LF or CRLF, with their line ends."""
    yield from io.StringIO(line, newline="")


def has_lone_return(line: str) -> bool:
    """Return whether a line has a CR anywhere but directly before its final LF."""
    return "\r" in line and line[line.find("\r") :] != "\r\n"


def _wide_encoding(start: bytes) -> str | None:
    """Return the encoding if a file's first bytes show that it is UTF-16 or UTF-32; otherwise None."""
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    # Without a mark: the first two characters of a header or JSON object are ASCII, each with one zero byte.
    zeros = [byte == 0 for byte in start[:4]]
    if zeros == [False, True, False, True]:
        return "UTF-16-LE"
    return "UTF-16-BE" if zeros == [True, False, True, False] else None


def _not_utf8(url: str, line: int, byte: int) -> UserError:
    remedy = (
        "convert the file to UTF-8 (iconv -f WINDOWS-1252 -t UTF-8, if Excel or another program on Windows wrote it)"
    )
    return UserError(f"{url}, line {line}: not UTF-8 (byte {byte} of the line); {remedy}")
