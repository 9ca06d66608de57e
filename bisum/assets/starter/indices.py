"""Readers of the indices in the archives of Debian and Ubuntu releases: packages, translations and applications."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import yaml

from bisum.errors import UserError


def read_sources(indices: Path) -> dict[str, set[str]]:
    """Return the source packages that build each package in any release, from the files `*Sources*`."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted(indices.glob("*Sources*")):
        for fields in _paragraphs(path, {"Package", "Binary"}):
            for binary in fields.get("Binary", "").split(","):
                found[binary.strip()].add(fields["Package"])
    return found


def read_translations(indices: Path, language: str) -> Iterator[dict[str, Any]]:
    """Yield the descriptions translated into `language`, in reverse order of their files' names.

    A row has `document` (paragraphs separated by a line break), `summary`, `language`, `package` and `original`, the
    MD5 of the English description.
    """
    for path in sorted(indices.glob(f"*Translation-{language}*"), reverse=True):
        for fields in _paragraphs(path, {"Package", "Description-md5", f"Description-{language}"}):
            if len(fields) != 3:
                raise UserError(
                    f"{path}: an entry lacks fields of a translation; it has only {', '.join(fields)}: {fields}"
                )
            summary, _, rest = fields[f"Description-{language}"].partition("\n")
            paragraphs = [" ".join(part.split()) for part in re.split(r"(?m)^ \.\s*$", rest)]
            document = "\n".join(filter(None, paragraphs))
            if document and summary.strip():
                row = {"document": document, "summary": summary.strip(), "language": language}
                yield {**row, "package": fields["Package"], "original": fields["Description-md5"]}


def read_applications(indices: Path, language: str) -> Iterator[dict[str, Any]]:
    """Yield the descriptions of applications in a language from the AppStream catalogues `*Components*`.

    They are in reverse order of their files' names. A row has `document` (paragraphs separated by a line break),
    `summary`, `language` and `package`. The format is DEP-11, https://wiki.debian.org/DEP-11.
    """
    key = "C" if language == "en" else language
    seen = set[str]()
    for path in sorted(indices.glob("*Components*"), reverse=True):
        with fsspec.open(path, "rt", compression="infer", encoding="utf-8") as file:
            for text in re.split(r"(?m)^---\n", file.read()):
                if text in seen or not re.search(rf"(?m)^  {key}: ", text):
                    continue
                seen.add(text)
                component = yaml.load(text, yaml.CSafeLoader)
                summary = component.get("Summary", {}).get(key)
                description = component.get("Description", {}).get(key)
                if summary and description and "Package" in component:
                    blocks = re.split(r"</?(?:p|li|ul|ol)>", description)
                    document = "\n".join(filter(None, (" ".join(_plain(block).split()) for block in blocks)))
                    row = {"document": document, "summary": " ".join(summary.split()), "language": language}
                    yield {**row, "package": component["Package"]}


def _plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def _paragraphs(path: Path, wanted: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the wanted fields of each paragraph of an index, compressed or not; continuation lines stay separate."""
    fields: dict[str, str] = {}
    name = ""
    with fsspec.open(path, "rt", compression="infer", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line[0] in " \t":
                if name in wanted:
                    fields[name] += "\n" + line.rstrip("\n")
            elif not line.strip():
                if fields:
                    yield fields
                fields = {}
            else:
                name, _, value = line.partition(":")
                if name in wanted:
                    fields[name] = value.strip()
    if fields:
        yield fields
