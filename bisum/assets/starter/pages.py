"""Readers of help pages and manual pages in unpacked packages."""

import gzip
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

MIN_WORDS, MAX_WORDS = 15, 200
"""Fewest words of a section, and the words after which a section is cut."""
MIN_TITLE_WORDS = 3
"""Fewest words of a title."""
MAX_SECTIONS_PER_TITLE = 3
"""Most sections with the same title, such as that of a legal notice."""
_FORMATS = {".html", ".page", ".docbook"}
_CODE = {"pre", "programlisting", "screen", "script", "style"}
_FRAME = {"aside", "footer", "head", "header", "nav"}
_FLOATS = {"caution", "example", "figure", "important", "informaltable", "note", "table", "tip", "warning"}
"""Elements whose titles are not those of sections."""
_HIDDEN = _CODE | _FRAME | _FLOATS
"""Elements that are skipped."""
_INFORMATION = {"articleinfo", "bookinfo", "info", "sect1info"}
_TITLES = {"h1", "h2", "h3", "h4", "h5", "h6", "title"}
_BLOCKS = {"br", "dd", "desc", "div", "dt", "item", "li", "listitem", "p", "para", "section", "sect1", "sect2"}
_NUMBER = re.compile(r"^([A-Z]\.)?\d[\d.]*\s+")
"""The number of a title, such as 1.2. or A.1."""
_NOISE = re.compile(r"Copyright|Report a bug|Available Languages|Idiomas disponibles|&[\w.-]+;")
"""Marks of paragraphs that are not prose; the last is an entity defined in another file."""


def read_pages(packages: Path, language: str) -> Iterator[dict[str, Any]]:
    """Yield the sections of the pages in a language: `document` (the text), `summary`, `language` and `package`.

    The summary is the section's title. For a manual page, it is the description in its NAME section, and for a Mallard
    page, the sentence in its `<desc>`, if there is one. `command` is the name of a manual page, None for other pages.

    Args:
        packages: a folder with a folder for each unpacked package, of the package's name.
        language: `en` or `es`.
    """
    titles: Counter[str] = Counter()
    for package in sorted(path for path in packages.iterdir() if path.is_dir()):
        for path in sorted(package.rglob("*")):
            if language != _language_of(path.relative_to(package)) or path.is_symlink() or not path.is_file():
                continue
            command = path.name.partition(".")[0] if _is_manual(path) else None
            for title, blocks in _sections(path):
                document = _shortened(blocks)
                words = len(document.split())
                if words < MIN_WORDS or not MIN_TITLE_WORDS <= len(title.split()) < words:
                    continue
                titles[title.lower()] += 1
                if titles[title.lower()] <= MAX_SECTIONS_PER_TITLE:
                    row = {"document": document, "summary": title, "language": language}
                    yield {**row, "package": package.name, "command": command}


def _language_of(path: Path) -> str | None:
    """Return the language of a page, which its path or name states; manual pages in English are in no such folder."""
    names = {"C": "en", "en": "en", "en-US": "en", "en_US": "en", "es": "es", "es-ES": "es"}
    found = [names[part] for part in (*path.parts, *path.name.split(".")) if part in names]
    if not found and _is_manual(path) and path.parent.parent.name == "man":
        return "en"
    return found[-1] if found else None


def _is_manual(path: Path) -> bool:
    return re.fullmatch(r"man\d", path.parent.name) is not None


def _sections(path: Path) -> Iterator[tuple[str, list[str]]]:
    name = path.name.removesuffix(".gz")
    if _is_manual(path):
        yield from _manual(_text(path))
    elif Path(name).suffix in _FORMATS:
        parser = _Parser()
        parser.feed(_text(path))
        parser.close()
        yield from parser.sections()


def _text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", "replace")


def _shortened(blocks: list[str]) -> str:
    """Return whole paragraphs of at most `MAX_WORDS` words, or the beginning of the first.

    A table of contents gives an empty text.
    """
    kept, words = list[str](), 0
    if 2 * sum(_NUMBER.match(block) is not None for block in blocks) > len(blocks):  # a table of contents
        return ""
    for block in blocks:
        words += len(block.split())
        if kept and words > MAX_WORDS:
            break
        kept.append(" ".join(block.split()[:MAX_WORDS]))
    return "\n".join(kept)


class _Parser(HTMLParser):
    """A reader of HTML, Mallard and DocBook, which all consist of titles and paragraphs."""

    def __init__(self) -> None:
        super().__init__()
        self._hidden = 0
        self._in_information = False
        self._title: str | None = None
        self._text = ""
        self._about = ""
        self._found: list[tuple[str, list[str]]] = []

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the title and the paragraphs of each section."""
        if self._about and self._found:
            yield self._about, [block for _, blocks in self._found for block in blocks]
            self._found.pop(0)
        yield from self._found

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        if tag in _HIDDEN:
            self._hidden += 1
        if tag in _INFORMATION:
            self._end_block()
            self._in_information = True
        if tag in _TITLES | _BLOCKS:
            self._end_block()
        if tag in _TITLES and not self._hidden:
            self._title = tag

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        if tag == "desc" and self._in_information and not self._about:
            self._about = " ".join(self._text.split())
            self._text = ""
        if tag in _TITLES and tag == self._title:
            if not self._in_information:
                title = _NUMBER.sub("", " ".join(self._text.split()).rstrip(" ¶#"))
                self._found.append(("" if _NOISE.search(title) else title, []))
            self._text, self._title = "", None
        if tag in _BLOCKS:
            self._end_block()
        if tag in _INFORMATION:
            self._in_information, self._text = False, ""

    def handle_startendtag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        """An element without contents hides nothing and begins no section."""
        if tag in _BLOCKS:
            self._end_block()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._text += data

    def close(self) -> None:
        super().close()
        self._end_block()

    def _end_block(self) -> None:
        text = " ".join(self._text.split()).rstrip(" ¶#")
        if text and not _NOISE.search(text) and self._found and not self._in_information and self._title is None:
            self._found[-1][1].append(text)
        self._text = ""


def _manual(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the description of a manual page's name, and the paragraphs of its section DESCRIPTION."""
    parts = dict[str, str]()
    for part in re.split(r"(?m)^\.S[Hh]\s+", text)[1:]:
        heading, _, body = part.partition("\n")
        parts.setdefault(_unescaped(heading).strip(' "').upper(), body)
    name = next((parts[key] for key in ("NAME", "NOMBRE") if key in parts), "")
    description = next((parts[key] for key in ("DESCRIPTION", "DESCRIPCIÓN") if key in parts), "")
    first = re.split(r"(?m)^\.(?:br|PP|sp)\b", name)[0]  # one of several names
    _, dash, title = " ".join(_without_macros(first)).partition(" - ")
    if dash and description:
        yield title.strip(), _without_macros(description)


def _without_macros(troff: str) -> list[str]:
    """Return the paragraphs of a text in troff's man macros; see man(7) of Linux man-pages."""
    paragraphs, is_code = [""], False
    troff = re.sub(r"(?ms)^\.\s*de\b.*?^\.\.$", "", troff)  # definitions of macros
    for line in troff.split("\n"):
        macro = re.match(r"[.']\s*(\w+|\\\")\s*(.*)", line)
        if macro is None:
            paragraphs[-1] += "" if is_code else f" {line}"
        elif macro[1] in ("nf", "EX"):
            is_code = True
        elif macro[1] in ("fi", "EE"):
            is_code = False
        elif macro[1] in ("B", "I", "BR", "BI", "IR", "RB", "RI", "IB", "SM"):
            words = re.findall(r'"([^"]*)"|(\S+)', macro[2])
            joined = ("" if len(macro[1]) == 2 and macro[1] != "SM" else " ").join(one or other for one, other in words)
            paragraphs[-1] += f" {joined}"
        elif macro[1] in ("PP", "P", "LP", "TP", "IP", "SS", "RS", "RE", "sp"):
            paragraphs.append("")
    cleaned = (_unescaped(paragraph) for paragraph in paragraphs)
    return [paragraph for paragraph in cleaned if paragraph]


def _unescaped(text: str) -> str:
    """Return a text without troff's font changes and with its characters' names replaced; see groff_char(7)."""
    text = re.sub(r"\\f(\[\w*\]|\(..|.)|\\m\[\w*\]|\\\*(\(..|\[.*?\]|.)|\\s[-+]?\d|\\[&/,|^:%]|\\\".*", "", text)
    text = re.sub(r"\\\[u([0-9A-F]{4,6})\]", lambda found: chr(int(found[1], 16)), text)
    accents = {"'": "\u0301", "~": "\u0303", ":": "\u0308"}
    text = re.sub(
        r"\\(?:\(([':~])(\w)|\[([':~])(\w)\])",
        lambda found: unicodedata.normalize("NFC", (found[2] or found[4]) + accents[found[1] or found[3]]),
        text,
    )
    names = {r"\-": "-", r"\e": "\\", r"\~": " "}
    glyphs = {"aq": "'", "cq": "’", "lq": "“", "rq": "”", "dq": '"', "em": " - ", "en": "-", "Fo": "«", "Fc": "»"}
    for form in (r"\({}", r"\[{}]"):
        names |= {form.format(name): character for name, character in glyphs.items()}
    for name, character in names.items():
        text = text.replace(name, character)
    return " ".join(re.sub(r"\\\(..|\\\[\w*\]|\\", " ", text).split())
