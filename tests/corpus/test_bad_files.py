"""Bad files, each reported in one line with the file, the row, the problem and the remedy."""

import bz2
import dataclasses
import gzip
import io
import json
import lzma
import re
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bisum import compose
from bisum.errors import UserError

CSV = "id,text,title,language\n1,Uno dos tres,Uno,es\n2,One two three,One,en\n3,Four five six,Four,en\n"
ROWS = [
    {"id": "1", "text": "Uno dos tres", "title": "Uno", "language": "es"},
    {"id": "2", "text": "One two three", "title": "One", "language": "en"},
    {"id": "3", "text": "Four five six", "title": "Four", "language": "en"},
]


def lines(*changes: dict) -> str:
    """Three JSON lines with the given changes."""
    rows = [row | change for row, change in zip(ROWS, [*changes, {}, {}, {}], strict=False)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(**columns: pa.Array) -> bytes:
    table = pa.Table.from_pylist(ROWS)
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def empty_parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array([], pa.string()), "title": pa.array([], pa.string())}), sink)
    return sink.getvalue()


def zipped(**members: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, text in members.items():
            archive.writestr(f"{name}.csv", text)
    return sink.getvalue()


NOT_UTF8 = pa.Array.from_buffers(
    pa.string(),
    3,
    [None, pa.array([0, 3, 7, 9], pa.int32()).buffers()[1], pa.py_buffer("UnoOne.a\xf1".encode("latin-1"))],
)

# Problem, file name, content, and the message after the file name.
BAD_FILES = [
    # Not a file of rows.
    ("empty", "a.csv", "", ": has no rows; at least one is required"),
    ("a header alone", "a.csv", "text,title\n", ": has no rows; at least one is required"),
    ("blank lines", "a.jsonl", "\n\n", ": has no rows; at least one is required"),
    ("lists of nothing", "a.jsonl", '{"text": [], "title": []}\n', ": has no rows; at least one is required"),
    ("no rows in Parquet", "a.parquet", empty_parquet(), ": has no rows; at least one is required"),
    ("an empty array", "a.json", "[]", ": has no rows; at least one is required"),
    (
        "another format",
        "a.xlsx",
        CSV,
        " has the extension '.xlsx'; it must be one of .csv, .tsv, .jsonl, .ndjson, .json, .parquet, "
        "optionally followed by one of .gz, .bz2, .xz, .zst, .zip",
    ),
    ("no Parquet", "a.parquet", CSV, ": not a valid Parquet file (Parquet magic bytes not found in footer. "),
    ("cut Parquet", "a.parquet", parquet()[:-100], ": not a valid Parquet file ("),
    # Compressed files that are plain or damaged.
    ("plain", "a.csv.gz", CSV, ": damaged gzip file (Not a gzipped file (b'id')); copy it again, or drop .gz from the"),
    ("cut gzip", "a.csv.gz", gzip.compress(CSV.encode())[:-20], ": damaged gzip file (Compressed file ended before"),
    ("cut bz2", "a.csv.bz2", bz2.compress(CSV.encode())[:-20], ": damaged bz2 file (Compressed file ended before"),
    ("cut xz", "a.csv.xz", lzma.compress(CSV.encode())[:-20], ": damaged xz file (Compressed file ended before"),
    (
        "no zstd",
        "a.csv.zst",
        CSV,
        ": damaged zst file (ZSTD decompress failed: Unknown frame descriptor); copy it again",
    ),
    (
        "two in a zip",
        "a.csv.zip",
        zipped(b=CSV, c=CSV),
        ": contains 2 files; keep one, or name one as in zip://FILE::{folder}/a.csv.zip",
    ),
    # The header.
    ("blank header", "a.csv", ",,,\n1,a,b,en\n", ": the header is blank; the first line must name the columns"),
    ("a name twice", "a.csv", "text,title,text\na,b,c\n", ": the header contains 'text' twice; it must occur once"),
    (
        "no known name",
        "a.csv",
        "key,lead,rest\n1,a,b\n",
        " has none of document, text, article, body, content, dialogue, review_body, maintext; name the column to use "
        "(columns: key, lead, rest)",
    ),
    (
        "no summary",
        "a.jsonl",
        '{"text": "a", "lead": "b"}\n',
        " has none of summary, highlights, title, headline, abstract, target, review_title; name the column to use "
        "(columns: text, lead)",
    ),
    # CSV.
    (
        "ragged",
        "a.csv",
        CSV.replace("One two three", "One, two, three"),
        ", row 2 (line 3): has 6 values but the header has 4; "
        "enclose values containing ',' or a line break in double quotes",
    ),
    (
        "short, after a value of two lines",
        "a.csv",
        'text,title\n"a\nb",c\nd\n',
        ", row 2 (line 4): has 1 value but the header has 2; "
        "enclose values containing ',' or a line break in double quotes",
    ),
    (
        "ragged, after blank lines",
        "a.csv",
        "\n \ntext,title\na,b\nc\n",
        ", row 2 (line 5): has 1 value but the header has 2; ",
    ),
    (
        "an open quote after blank lines",
        "a.csv",
        '\n\ntext,title\na,"b\n',
        ", row 1 (up to line 4): unexpected end of data; ",
    ),
    (
        "ragged TSV",
        "a.tsv",
        "text\ttitle\na\tb\tc\n",
        r", row 1 (line 2): has 3 values but the header has 2; enclose values containing '\t'",
    ),
    (
        "an open quote",
        "a.csv",
        CSV.replace("One two", '"One two'),
        ', row 2 (up to line 4): unexpected end of data; a value that begins with " must end with " '
        'and double each " inside',
    ),
    (
        "a single quote inside",
        "a.csv",
        CSV.replace("One two three", '"One "two" three"'),
        ", row 2 (up to line 3): ',' expected after '\"'; a value that begins with \" must end with \" and",
    ),
    (
        "Latin-1",
        "a.csv",
        (CSV + "4,Año nuevo,Año,es\n").encode("latin-1"),
        ", line 5: not UTF-8 (byte 4 of the line); convert the file to UTF-8",
    ),
    (
        "half of UTF-16",
        "a.csv",
        CSV.encode("utf-16")[:-1],
        ": begins as UTF-16, but byte 185 is not valid; convert",
    ),
    # JSON.
    (
        "broken line",
        "a.jsonl",
        lines() + '{"text": "a" "title": "b"}\n',
        ", row 4: invalid JSON (Expecting ',' delimiter, character 14); each line must be one JSON object",
    ),
    (
        "a line cut off",
        "a.jsonl",
        lines() + '{"text": "a", "title":\n',
        ", row 4: invalid JSON (Expecting value, character 23); each line must be one JSON object",
    ),
    (
        "broken after a blank line",
        "a.jsonl",
        lines() + '\n \n  {"text": "a" "title": "b"}\n',
        ", row 4 (line 6): invalid JSON (Expecting ',' delimiter, character 16); each line must be one JSON object",
    ),
    (
        "an array a line",
        "a.jsonl",
        '["a", "b"]\n',
        ", row 1: ['a', 'b'] is not a JSON object; each row must be one",
    ),
    (
        "pretty-printed",
        "a.jsonl",
        json.dumps(ROWS[0], indent=1),
        ", row 1: invalid JSON (Expecting property name enclosed",
    ),
    (
        "a key twice",
        "a.jsonl",
        '{"text": "a", "text": "b"}\n',
        ", row 1: the key 'text' occurs twice; it must occur once",
    ),
    (
        "half a pair",
        "a.jsonl",
        lines({}, {"text": "\ud83d"}),
        r", row 2: text contains a lone surrogate (\ud800 to \udfff);",
    ),
    (
        "Latin-1 line",
        "a.jsonl",
        '{"text": "Año"}\n'.encode("latin-1"),
        ", line 1: not UTF-8 (byte 12 of the line); convert",
    ),
    (
        "Latin-1 array",
        "a.json",
        '[\n{"text": "Año"}]'.encode("latin-1"),
        ", line 2: not UTF-8 (byte 12 of the line); convert",
    ),
    ("cut array", "a.json", json.dumps(ROWS)[:-1], ", line 1: invalid JSON (Expecting ',' delimiter, character "),
    ("a number", "a.json", "[1, 2]", ", row 1: 1 is not a JSON object; each row must be one"),
    (
        "two arrays",
        "a.json",
        json.dumps({"train": ROWS, "test": ROWS}),
        ": the object contains 2 arrays of objects; it must contain one, the rows",
    ),
    # Values.
    ("mixed", "a.jsonl", lines({}, {}, {"text": 17}), ", row 3: text is 17; must be text, as in row 1"),
    ("numbers", "a.jsonl", lines(*[{"text": 17}] * 3), ", row 1: text is 17; must be text"),
    (
        "nested",
        "a.jsonl",
        lines(*[{"text": {"body": "a", "n": 1}}] * 3),
        ", row 1: text is {'body': 'a', 'n': 1}; must be text; select a field with a dot, as in text.body",
    ),
    (
        "a list",
        "a.jsonl",
        lines(*[{"text": ["a", "b"]}] * 3),
        ", row 1: text is ['a', 'b']; must be text, or a list in both documents",
    ),
    (
        "uneven lists",
        "a.jsonl",
        lines({"text": ["a"], "title": ["b"]}, *[{"text": ["a", "b"], "title": ["c"]}] * 2),
        ", row 2: text has 2 parts but title has 1; the numbers must be equal",
    ),
    (
        "fractions",
        "a.parquet",
        parquet(id=pa.array([None, 1.5, 2.5])),
        ", row 2: id is 1.5; must be text or a whole number",
    ),
    ("not UTF-8", "a.parquet", parquet(title=NOT_UTF8), ", row 3: title is not UTF-8; save the file again in UTF-8"),
    ("no id", "a.csv", CSV.replace("2,One", ",One"), ", row 2: missing id; set it on every row or on none"),
    (
        "no language",
        "a.csv",
        CSV.replace("One,en", "One,"),
        ", row 2: missing language; set it on every row or on none",
    ),
    (
        "an id twice",
        "a.csv",
        CSV.replace("3,Four", "2,Four"),
        ", row 2 and row 3: both have the id '2'; ids must be unique (corpus.columns.id=null numbers the rows instead)",
    ),
    (
        "no language at all",
        "a.csv",
        "text,title\na,b\n",
        " does not state its language; name its column (corpus.columns.language=NAME), or set one "
        "language for all rows (languages=[en] corpus.language=en)",
    ),
]


@pytest.fixture(scope="module")
def defaults():
    return compose(["corpus=files", "corpus.path=x", "tracker=none"]).corpus


def error_line(corpus, languages=("en", "es")) -> str:
    with pytest.raises(UserError) as error:
        corpus.load(list(languages))
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [case[1:] for case in BAD_FILES],
    ids=[f"{name}: {what}" for what, name, *_ in BAD_FILES],
)
def test_bad_files_are_reported_in_one_line(defaults, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    line = error_line(dataclasses.replace(defaults, path=str(path)))
    before, found, after = line.partition(str(path))
    assert found
    assert re.fullmatch(r"(corpus\.[a-z.]+: )?", before)
    assert after.startswith(message.format(folder=tmp_path) if "{folder}" in message else message)
