"""Sources of the documents to summarize: the command line, files, standard input and rows of a corpus."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

from bisum.config.schema import SummarizeConfig
from bisum.errors import UserError, nearest, shown
from bisum.summarize.document import Document
from bisum.summarize.tables import ColumnNames, is_table, table_documents

STDIN = "-"

_JSON_LINES = (".jsonl", ".ndjson", ".json")
_JSON_OBJECT = re.compile(r'\s*\{\s*["}]')


def documents(config: SummarizeConfig, given: Sequence[str]) -> Iterator[Document]:
    """Return the documents that the command line names: texts, files and rows, in this order, otherwise stdin.

    `given` contains the texts. Files and stdin are read lazily, so a bad line does not affect the documents before it.

    Raises:
        UserError: a file, row or id is missing (raised at once); a line is invalid (raised when it is reached).
    """
    rows = list(_rows(config)) if config.selects_rows else []
    texts = [
        Document(text=unicode_text(text, "it", f"text {number}"), id=f"text:{number}", place=f"text {number}")
        for number, text in enumerate(given, start=1)
    ]
    files = config.files or ([] if texts or rows else [STDIN])
    for file in files:
        _check(file)
    if rows and (tables := [file for file in config.files if is_table(file)]):
        raise UserError(
            f"files: rows, ids and split select rows of the corpus, not of {tables[0]}; drop one "
            f"(corpus=files corpus.path={tables[0]} makes it the corpus)"
        )
    names = ColumnNames(config)
    return chain(texts, *(_read(file, config.unit, names) for file in files), rows)


def reads_stdin(config: SummarizeConfig, given: Sequence[str]) -> bool:
    """Return whether documents come from standard input."""
    others = given or config.files or config.selects_rows
    return STDIN in config.files or not others


def _rows(config: SummarizeConfig) -> Iterator[Document]:
    """Yield the requested rows of a split; row n is line n + 1 of the split's file in the run's `predictions/`."""
    from bisum.corpus.corpus import load_corpus
    from bisum.corpus.disk import take

    split = config.split or "test"
    cache = Path(config.cache_dir).expanduser()
    rows = load_corpus(config.corpus, config.filter, config.languages, config.seed, [split], cache).splits[split]
    positions = {id_: position for position, id_ in enumerate(rows["id"].to_pylist())}
    for number, row in enumerate(config.rows or []):
        if not 0 <= row < len(rows):
            raise UserError(f"rows[{number}]: {split} has no row {row} (valid: 0 to {len(rows) - 1:,})")
    for number, id_ in enumerate(config.ids or []):
        if id_ not in positions:
            known = ", ".join(list(positions)[:3])
            raise UserError(f"ids[{number}]: no row of {split} has the id '{id_}' (its ids are {known}, ...)")
    requested = [*(config.rows or []), *(positions[id_] for id_ in config.ids or [])]
    for row in (take(rows, requested) if requested else rows).to_pylist():
        place = f"row {row['id']} of {split}"
        yield Document(
            text=row["document"], language=row["language"], id=row["id"], reference=row["summary"], place=place
        )


def _check(file: str) -> None:
    """Reject a missing file or a folder."""
    path = Path(file).expanduser()
    if file == STDIN:
        if sys.stdin is None:
            raise UserError("files: standard input is closed; name a file, or pass texts after --")
    elif path.is_dir():
        raise UserError(f"files: {file} is a folder; name its files, for example {file.rstrip('/')}/*.txt")
    elif "://" not in file and not path.exists():
        near = nearest(path.name, [other.name for other in path.parent.glob("*")])
        raise UserError(f"files: file {file} does not exist{near}")


def _read(file: str, unit: str, names: ColumnNames) -> Iterator[Document]:
    """Yield the documents of a file or of standard input as they become available."""
    from bisum.corpus.formats.decoding import every_line
    from bisum.corpus.formats.readers import split_extension

    if file != STDIN and is_table(file):
        yield from table_documents(file, names)
        return
    name = "stdin" if file == STDIN else file
    with _opened(file) as stream:
        lines = every_line(stream, name)
        has_json = None if file == STDIN else split_extension(file)[1] in _JSON_LINES
        if unit == "file" and not has_json:
            yield Document(text=unicode_text("".join(lines).strip(), "it", name), id=name, place=name)
        else:
            yield from _from_lines(lines, name, has_json, names)


def _from_lines(lines: Iterable[str], name: str, has_json: bool | None, names: ColumnNames) -> Iterator[Document]:
    """Yield one document per line; if `has_json` is None, the first non-blank line decides whether lines are JSON."""
    numbered = enumerate(lines, start=1)
    head = []
    if has_json is None:
        for number, line in numbered:
            head.append((number, line))
            if line.strip():
                has_json = bool(_JSON_OBJECT.match(line))
                break
    for number, line in chain(head, numbered):
        place = f"{name}, line {number}"
        if not has_json:
            yield Document(text=line.strip(), id=f"{name}:{number}", place=place)
        elif line.strip():
            yield _from_json(line, f"{name}:{number}", place, names)


def _from_json(line: str, id_: str, place: str, names: ColumnNames) -> Document:
    """Parse a JSON line, whose keys are a table's column names; `reference` takes precedence over a summary."""
    try:
        value = json.loads(line.rstrip("\r\n"), parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        reason = f"{error.msg}, character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise UserError(f"{place}: invalid JSON ({reason}); each line must be one JSON object") from error
    if not isinstance(value, dict):
        raise UserError(f"{place}: {shown(value)} is not a JSON object; each line must be one")
    columns = {role: path[0] for role, path in names.find({key: (key,) for key in value}, place, ()).items()}
    if value.get("reference") is not None:
        columns["summary"] = "reference"
    if "document" not in columns:
        wanted = names.columns.document
        expected = wanted if isinstance(wanted, str) else ", ".join(wanted)
        raise UserError(f"{place}: has none of the keys {expected}; its keys: {', '.join(value) or 'none'}")

    def text_of(role: str) -> str | None:
        found = value.get(columns.get(role, ""))
        return None if found is None else unicode_text(found, columns[role], place)

    used = {columns.get(role) for role in ("document", "id", "language", "summary")}
    own = value.get(columns.get("id", ""))
    return Document(
        text=unicode_text(value[columns["document"]], columns["document"], place),
        language=text_of("language"),
        id=id_ if own is None else own,
        reference=text_of("summary"),
        others={key: item for key, item in value.items() if key not in used},
        place=place,
    )


def _number(text: str) -> float:
    """Parse a number; reject NaN and infinity, which would make the output invalid JSON."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a JSON number")
    return value


def unicode_text(value: object, name: str, place: str) -> str:
    """Return the value if it is valid Unicode text; raise UserError otherwise."""
    if not isinstance(value, str):
        raise UserError(f"{place}: {name} is {shown(value)}; must be text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{place}: {name} contains a lone surrogate (\\ud800 to \\udfff); must be valid Unicode"
        ) from error
    return value


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """Open a file or standard input as a binary stream."""
    from bisum.corpus.formats.readers import open_file

    if file != STDIN:
        with open_file(file, "files") as stream:
            yield stream
        return
    # Not sys.stdin: a thread blocked on its next line would keep the interpreter from exiting.
    try:
        with open(0, "rb", closefd=False) as stream:
            yield stream
    except OSError as error:
        raise UserError(f"stdin: cannot be read ({error.strerror})") from error
