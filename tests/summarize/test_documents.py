"""Documents from texts, files of any kind, standard input and rows; a bad one is reported with its place."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import zipfile
from dataclasses import replace
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bisum import compose
from bisum.config.composition import Composer
from bisum.config.jobs import configure
from bisum.corpus.corpus import load_corpus
from bisum.errors import UserError
from bisum.summarize.documents import documents, reads_stdin


@cache
def defaults():
    return configure(Composer("summarize"), ["model.checkpoint=any"])


def request(texts=(), **keys):
    """Return the arguments of `documents`: a configuration and texts."""
    return replace(defaults(), **keys), list(texts)


def texts_of(**requested):
    return [document.text for document in documents(*request(**requested))]


@pytest.fixture
def stdin(tmp_path):
    """Return a function that makes bytes the standard input of this process."""
    before = os.dup(0)

    def put(data: bytes) -> None:
        (tmp_path / "stdin").write_bytes(data)
        file = os.open(tmp_path / "stdin", os.O_RDONLY)
        os.dup2(file, 0)
        os.close(file)

    yield put
    os.dup2(before, 0)
    os.close(before)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_each_line_is_a_document(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffEl niño come.\r\n\r\n  Dos\u2028frases. \nthe last".encode())
    (tmp_path / "b").write_text('{"document": "not JSON lines by its name"}\n', "utf-8")
    found = list(documents(*request(files=["a.txt", "b"])))
    assert [document.text for document in found] == [
        "El niño come.",
        "",
        "Dos\u2028frases.",
        "the last",
        '{"document": "not JSON lines by its name"}',
    ]
    assert [document.id for document in found] == ["a.txt:1", "a.txt:2", "a.txt:3", "a.txt:4", "b:1"]


def test_each_file_is_a_document_with_unit_file(tmp_path, stdin):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n", "utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n{"text": "four"}\n', "utf-8")
    stdin(b'{"text": "five"}\nsix\n')
    found = texts_of(files=["a.txt", "b.jsonl", "-"], unit="file")
    assert found == ["one\n\ntwo", "three", "four", '{"text": "five"}\nsix']


@pytest.mark.parametrize("extension", [".gz", ".bz2", ".xz", ".zst", ".zip"])
def test_compressed_files_are_read(tmp_path, extension):
    plain = b"uno\ndos\n"
    archive, zstd = io.BytesIO(), pa.BufferOutputStream()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", plain)
    with pa.CompressedOutputStream(zstd, "zstd") as file:
        file.write(plain)
    packed = {
        ".gz": gzip.compress(plain),
        ".bz2": bz2.compress(plain),
        ".xz": lzma.compress(plain),
        ".zst": zstd.getvalue().to_pybytes(),
        ".zip": archive.getvalue(),
    }
    (tmp_path / f"a.txt{extension}").write_bytes(packed[extension])
    assert texts_of(files=[f"a.txt{extension}"]) == ["uno", "dos"]


def test_json_lines_keep_their_metadata(tmp_path):
    lines = [
        {"id": 7, "document": "one", "language": "es", "summary": "uno", "stars": [1, 2]},
        {"text": "two", "summary": None, "language": None},
        {"document": "three", "reference": "tres", "summary": "an earlier one"},
    ]
    (tmp_path / "a.jsonl").write_text("\n\n".join(map(json.dumps, lines)), "utf-8")
    found = list(documents(*request(files=["a.jsonl"])))
    assert [(d.id, d.text, d.language, d.reference, dict(d.others)) for d in found] == [
        (7, "one", "es", "uno", {"stars": [1, 2]}),
        ("a.jsonl:3", "two", None, None, {}),
        ("a.jsonl:5", "three", None, "tres", {"summary": "an earlier one"}),
    ]


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("one\n\ntwo\n", ["one", "", "two"]),
        ('\n\n {"text": "one"}\n\n{"text": ""}\n', ["one", ""]),
        ("\n\n{one}\n", ["", "", "{one}"]),
        ('one\n{"text": "two"}\n', ["one", '{"text": "two"}']),
        ("\n", [""]),
        ("", []),
    ],
)
def test_first_line_of_stdin_decides_whether_it_is_json_lines(stdin, given, texts):
    stdin(given.encode())
    assert texts_of() == texts
    assert reads_stdin(*request())
    assert not reads_stdin(*request(split="test"))
    assert not reads_stdin(*request(texts=["one"]))


def test_texts_from_the_command_line_come_first(tmp_path):
    (tmp_path / "a.txt").write_text("three\n", "utf-8")
    assert texts_of(files=["a.txt"], texts=["one", ""]) == ["one", "", "three"]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b'{"text": "x"', ["invalid JSON (Expecting ',' delimiter, character "]),
        (b"[" * 100_000, ["invalid JSON ("]),
        (b'["x"]', ["['x'] is not a JSON object; each line must be one"]),
        (b'{"note": "x", "id": 1}', ["has none of the keys document, text, article,", "; its keys: note, id"]),
        (b'{"document": null}', ["document is null; must be text"]),
        (b'{"text": 3}', ["text is 3; must be text"]),
        (b'{"text": "x", "language": 3}', ["language is 3; must be text"]),
        (b'{"text": "x", "summary": ["y"]}', ["summary is ['y']; must be text"]),
        (b'{"text": "\\ud800"}', ["text contains a lone surrogate"]),
        (b'{"text": "x", "score": NaN}', ["invalid JSON (NaN is not a JSON number)"]),
        (b'{"text": "x", "score": [-1e999]}', ["invalid JSON (-1e999 is not a JSON number)"]),
        (b'{"text": "\xe9"}', ["not UTF-8 (byte 11 of the line)"]),
    ],
)
def test_bad_line_is_reported_after_the_preceding_documents(tmp_path, line, parts):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "one"}\n\n' + line + b'\n{"text": "two"}\n')
    found = documents(*request(files=["a.jsonl"]))
    assert next(found).text == "one"
    with pytest.raises(UserError, match=r"^a\.jsonl, line 3: ") as error:
        next(found)
    assert all(part in str(error.value) for part in parts), error.value
    assert "\n" not in str(error.value)


def test_damaged_file_is_reported_after_its_readable_documents(tmp_path):
    lines = b"".join(b"%d %s\n" % (number, os.urandom(40).hex().encode()) for number in range(2000))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(lines)[:-1000])
    found = documents(*request(files=["a.txt.gz"]))
    assert next(found).text == lines.decode().partition("\n")[0]
    with pytest.raises(UserError, match=r"^a\.txt\.gz: "):
        list(found)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"files": ["notes.txt", "nots.txt"]}, "files: file nots.txt does not exist, did you mean 'notes.txt'?"),
        ({"files": ["notes.txt", "folder"]}, "files: folder is a folder; name its files, for example folder/*.txt"),
        ({"files": ["reviews.csv"]}, "files: file reviews.csv does not exist"),
        ({"split": "test", "rows": [0, 307]}, "rows[1]: test has no row 307 (valid: 0 to 306)"),
        ({"split": "test", "ids": ["nope"]}, "ids[0]: no row of test has the id 'nope' (its ids are "),
    ],
)
def test_missing_files_and_rows_are_reported_at_once(tmp_path, keys, message):
    (tmp_path / "notes.txt").write_text("one\n", "utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as error:
        documents(*request(**keys))
    assert str(error.value).startswith(message)


def test_text_that_is_not_unicode_is_refused():
    with pytest.raises(UserError, match=r"^text 2: "):
        documents(*request(texts=["one", os.fsdecode(b"\xff")]))


def test_rows_come_in_the_requested_order_with_their_metadata():
    config, _ = request(split="validation")
    rows = load_corpus(config.corpus, config.filter, config.languages, config.seed).splits["validation"].to_pylist()
    everything = list(documents(config, []))
    assert [(d.id, d.text, d.reference, d.language) for d in everything] == [
        (row["id"], row["document"], row["summary"], row["language"]) for row in rows
    ]
    some = documents(*request(split="validation", rows=[5, 0, 5], ids=[rows[3]["id"]]))
    assert [d.id for d in some] == [rows[number]["id"] for number in (5, 0, 5, 3)]


CSV = (
    'Body,Headline,lang,id,category,stars\nA cat sleeps.,A cat,en,1_0,toy,5\n  ,,es,b,,1\n"El tren, tarde.",,es,c,,2\n'
)
ROWS = [
    ("1_0", "A cat sleeps.", "en", "A cat", {"category": "toy"}),
    ("b", "", "es", None, {}),
    ("c", "El tren, tarde.", "es", None, {}),
]


def known(found):
    return [(d.id, d.text, d.language, d.reference, dict(d.others)) for d in found]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.json", "b.json", "c.json", "d.json"])
def test_each_row_of_a_table_is_a_document(tmp_path, name):
    table = list(csv.DictReader(io.StringIO(CSV)))
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(table), tmp_path / name)
    else:
        tabs = "\n".join("\t".join(row) for row in [list(table[0]), *(row.values() for row in table)])
        text = {
            "a.csv": CSV,
            "a.csv.gz": CSV,
            "a.tsv": tabs,
            "a.json": json.dumps(table),
            "b.json": json.dumps(table, indent=1),
            "c.json": json.dumps({"rows": table}),
            "d.json": json.dumps({"rows": table}, indent=1),
        }[name]
        (tmp_path / name).write_bytes((gzip.compress if name.endswith(".gz") else bytes)(text.encode()))
    assert known(documents(*request(files=[name], unit="file"))) == ROWS


def test_json_lines_can_have_the_column_names_of_tables(tmp_path):
    (tmp_path / "a.json").write_text(
        '{"article": "one", "highlights": "uno", "lang": "es", "n": [1]}\n{"Body": "two"}\n', "utf-8"
    )
    assert known(documents(*request(files=["a.json"]))) == [
        ("a.json:1", "one", "es", "uno", {"n": [1]}),
        ("a.json:2", "two", None, None, {}),
    ]


def test_table_of_documents_only_has_row_numbers_as_ids(tmp_path):
    (tmp_path / "a.csv").write_text("text\none\n\ntwo\n", "utf-8")
    assert known(documents(*request(files=["a.csv"]))) == [
        ("a.csv:1", "one", None, None, {}),
        ("a.csv:2", "two", None, None, {}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("note,n\nx,1\n", "corpus.columns.document: a.csv has none of document, text, article, "),
        ("text,n\nx\n", "a.csv, row 1 (line 2): has 1 value but the header has 2"),
        ("text,n\n", "a.csv: has no rows; at least one is required"),
    ],
)
def test_bad_table_is_reported_with_its_row(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text, "utf-8")
    with pytest.raises(UserError) as error:
        list(documents(*request(files=["a.csv"])))
    assert str(error.value).startswith(message)


def test_columns_from_the_command_line_are_read_and_must_exist(tmp_path, caplog):
    (tmp_path / "a.csv").write_text("text,note,title\nx,y,z\n", "utf-8")
    arguments = [
        "model.checkpoint=any",
        "corpus=files",
        "corpus.path=a.csv",
        "files=[a.csv]",
        "corpus.columns.document=",
    ]
    config = configure(Composer("summarize"), [*arguments[:-1], f"{arguments[-1]}note", "corpus.columns.id=null"])
    with caplog.at_level("INFO", logger="bisum"):
        assert known(documents(config, [])) == [("a.csv:1", "y", None, "z", {})]
    assert caplog.messages == ["summary is 'title' in a.csv (guessed; set corpus.columns to use others)"]
    config = configure(Composer("summarize"), [*arguments[:-1], f"{arguments[-1]}notes"])
    with pytest.raises(UserError, match=r"a\.csv has no column 'notes', did you mean 'note'\?"):
        list(documents(config, []))


def test_columns_of_a_runs_corpus_are_read_if_the_table_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr("bisum.config.model_source.damage", lambda *_, **__: None)
    arguments = ["corpus=files", "corpus.path=x", "corpus.columns.document=note", "corpus.columns.summary=short"]
    record = {"job": "train", "config": compose(arguments).provenance.resolved, "status": "interrupted", "choices": {}}
    checkpoint = tmp_path / "run/checkpoints/epoch-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}", "utf-8")
    (tmp_path / "run/run.json").write_text(json.dumps({**record, "best": {"epoch": 1}}), "utf-8")
    (tmp_path / "a.csv").write_text("text,note,title\nx,y,z\n", "utf-8")
    (tmp_path / "b.csv").write_text("text,other\nx,y\n", "utf-8")
    config = configure(Composer("summarize"), ["run=run", "files=[a.csv,b.csv]"])
    assert [(d.text, d.reference) for d in documents(config, [])] == [("y", "z"), ("x", None)]


def test_rows_of_the_corpus_conflict_with_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("text\nA library.\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^files: rows, ids and split select rows of the corpus, not of a.csv; "):
        documents(*request(files=["a.csv"], rows=[0], split="test"))


def test_missing_column_is_reported_with_the_keys_that_name_it(tmp_path):
    (tmp_path / "a.csv").write_text("texto,n\nA library.,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"these keys require corpus=files corpus.path=a.csv$"):
        texts_of(files=["a.csv"])


def test_any_line_end_ends_a_document(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"A library.\rA game.\r\nA book.\nA pen.")
    assert texts_of(files=["a.txt"]) == ["A library.", "A game.", "A book.", "A pen."]


@pytest.mark.parametrize(
    ("content", "message"), [(b"PK\x03\x04\x00", "is a workbook"), (b"a\x00b\n", "contains a NUL")]
)
def test_binary_file_is_refused(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(UserError, match=f"^a.txt.* {message}"):
        texts_of(files=["a.txt"])
