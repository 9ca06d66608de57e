"""Parser of the documentation's pages: headings, code blocks, and the commands in console blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / ".github/CONTRIBUTING.md"]
_FENCE = re.compile(r"( *)(`{3,})(\w*)\s*")


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page."""

    page: Path
    line: int
    """The line of the opening fence, from 1."""

    language: str
    lines: list[str]

    @property
    def file(self) -> str | None:
        """Path of the file to create from the block: its first comment, after any `# @package`."""
        lines = [line for line in self.lines[:2] if not line.startswith("# @package")]
        found = re.fullmatch(r"# ([\w./-]+\.(?:py|yaml))", lines[0]) if lines else None
        return found[1] if found else None


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the output that the page shows."""

    page: Path
    line: int
    text: str
    output: list[str]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def _parse(page: Path) -> tuple[list[Block], list[str]]:
    """Return the code blocks of a page, and the lines outside them."""
    blocks, prose = list[Block](), list[str]()
    begin, indent, fence, language, lines = 0, "", "", "", list[str]()
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        found = _FENCE.fullmatch(line)
        if not fence and found:
            begin, (indent, fence, language), lines = number, found.groups(), []
        elif fence and found and found[2] == fence and not found[3]:
            blocks.append(Block(page, begin, language, lines))
            fence = ""
        elif fence:
            lines.append(line.removeprefix(indent))
        else:
            prose.append(line)
    assert not fence, f"{page}:{begin}: the code block does not end"
    return blocks, prose


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    return _parse(page)[0]


def prose_of(page: Path) -> str:
    """Return a page without its code blocks."""
    return "\n".join(_parse(page)[1])


def commands_of(page: Path) -> Iterator[Command]:
    """Yield the commands of a page's console blocks; a trailing backslash continues a command on the next line."""
    for block in blocks_of(page):
        if block.language != "console":
            continue
        line, text, output, continues = 0, "", list[str](), False
        for number, shown in enumerate(block.lines, block.line + 1):
            if continues:
                text += "\n" + shown
            elif shown.startswith("$ "):
                if text:
                    yield Command(page, line, text, output)
                line, text, output = number, shown[2:], []
            else:
                assert text, f"{page}:{number}: a console block must begin with a command"
                output.append(shown)
            continues = (continues or shown.startswith("$ ")) and shown.endswith("\\")
        if text:
            yield Command(page, line, text, output)


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings, and its explicit ones."""
    text, anchors = prose_of(page), set[str]()
    for heading in re.findall(r"^#+ +(.+?) *#*$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        repeated = (f"{anchor}-{number}" for number in count(1))
        anchors.add(next(name for name in chain([anchor], repeated) if name not in anchors))
    return anchors | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
