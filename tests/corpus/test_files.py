"""A user's own files as a corpus: formats, columns, languages, ids and splits."""

import bz2
import csv
import dataclasses
import functools
import gzip
import hashlib
import http.server
import importlib.util
import io
import json
import logging
import lzma
import os
import threading
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bisum import compose
from bisum.corpus.columns import text_rows
from bisum.corpus.corpus import load_corpus
from bisum.corpus.files import Files
from bisum.corpus.fingerprints import fingerprint
from bisum.corpus.formats.readers import read_file
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.interfaces.source import COLUMNS, SPLITS, Source

TEXTS = [
    ("7", "en", "home", "The kettle boils a litre\nin three minutes.", "Does its job"),
    ("007", "es", "book", 'Cada cuento merece una tarde entera; "de verdad", dijo.', "Para leer despacio"),
    ("a,b", "en", "book", "The drawings\tare lovely,\r\nthe plot is not.", "Lovely pictures, thin plot"),
    ("día 4", "es", "home", "La manta abriga mucho y se lava bien.", "Buena compra"),
]
ROWS = [dict(zip(("id", "language", "category", "document", "summary"), values, strict=True)) for values in TEXTS]


def as_csv(rows, separator=",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json_lines(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_parquet(rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def as_zip(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("rows", content)
    return sink.getvalue()


FORMATS = {
    ".csv": as_csv,
    ".tsv": functools.partial(as_csv, separator="\t"),
    ".jsonl": as_json_lines,
    ".ndjson": as_json_lines,
    ".json": lambda rows: json.dumps(rows).encode(),
    ".parquet": as_parquet,
}
COMPRESSIONS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    ".zip": as_zip,
}


@pytest.fixture(scope="module")
def defaults():
    return compose(["corpus=files", "corpus.path=x", "tracker=none"]).corpus


@pytest.fixture
def files(defaults, tmp_path, monkeypatch):
    """Write files into the current folder and return a source of them: `files({name: content}, key=value)`."""
    monkeypatch.chdir(tmp_path)

    def made(contents, columns=None, **changes):
        for name, content in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        if "train" in changes:
            changes.setdefault("path", None)
        names = dataclasses.replace(defaults.columns, **(columns or {}))
        return dataclasses.replace(defaults, columns=names, **changes)

    return made


def all_rows(splits) -> list[dict]:
    return [row for split in SPLITS for row in splits[split].to_pylist()]


def one_split(source, languages=("en", "es")) -> list[dict]:
    """Return the rows of a source that has files for train only, in their original order."""
    source = dataclasses.replace(source, validation=source.train, test=source.train)
    return source.load(list(languages))["train"].to_pylist()


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("extension", FORMATS)
def test_every_format_and_compression_preserves_the_rows(files, extension, compression):
    name = f"rows{extension}{compression}".upper() if compression == ".gz" else f"rows{extension}{compression}"
    source = files({name: COMPRESSIONS[compression](FORMATS[extension](ROWS))}, train=name)
    assert isinstance(source, Source)
    rows = one_split(source)
    assert rows == sorted(ROWS, key=lambda row: row["language"])
    assert tuple(rows[0]) == COLUMNS


def test_same_corpus_has_the_same_fingerprint_in_every_format(files):
    source = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1)
    sample = {split: rows.slice(0, 40) for split, rows in source.load(["en"]).items()}
    prints = set()
    for extension in (".csv", ".jsonl", ".json", ".parquet"):
        names = {split: f"{split}{extension}" for split in SPLITS}
        contents = {names[split]: FORMATS[extension](rows.to_pylist()) for split, rows in sample.items()}
        prints.add(load_corpus(files(contents, **names), {}, ["en"], seed=1).fingerprint)
    assert prints == {fingerprint(sample)}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("\ufeffdocument,summary\r\nA b c,D e\r\n", "a.csv"),
        ("document;summary\nA b c;D e\n", "a.csv"),
        ("document|summary\n\nA b c|D e\n\n", "a.csv"),
        (",document,summary\n0,A b c,D e\n", "a.csv"),
        (" document , summary \nA b c,D e", "a.csv"),
        ('{"document": "A b c", "summary": "D e"}\n\n', "a.json"),
        ('\ufeff{"document": "A b c", "summary": "D e"}', "a.jsonl"),
        ('{"version": 1, "data": [{"document": "A b c", "summary": "D e"}]}', "a.json"),
        ('[{"summary": "D e"}, {"document": "A b c", "summary": "D e"}]', "a.json"),
    ],
)
def test_common_variants_of_text_files_are_read(files, content, name):
    row = one_split(files({name: content}, train=name), ["en"])[-1]
    assert (row["document"], row["summary"], row["category"]) == ("A b c", "D e", None)


def test_common_column_names_are_detected_and_reported_once(files, caplog):
    content = "Key,Article,Highlights,lang,section\n1,a,b,en,x\n2,c,d,es,\n"
    with caplog.at_level(logging.INFO, "bisum"):
        rows = one_split(files({"a.csv": content}, {"id": "key", "category": "section"}, train="a.csv"))
    assert rows == [
        {"id": "1", "document": "a", "summary": "b", "language": "en", "category": "x"},
        {"id": "2", "document": "c", "summary": "d", "language": "es", "category": None},
    ]
    guesses = "document is 'Article', summary is 'Highlights', language is 'lang' in a.csv"
    assert caplog.messages == [f"{guesses} (guessed; set corpus.columns to use others)"]


def test_code_that_the_rows_use_is_suggested(files):
    content = "id,text,title,lang\n1,a b,c,EN\n"
    source = files({"a.csv": content}, train="a.csv")
    with pytest.raises(
        UserError, match=r"^languages: train has no rows in 'en', only in EN \(1\); use languages=\[EN\]"
    ):
        source.load(["en"])
    with pytest.raises(
        UserError, match=r"^languages: test has no rows in 'en', only in EN \(1\); use languages=\[EN\]"
    ):
        dataclasses.replace(source, train=None, test="a.csv").load(["en"])


def test_bisums_own_column_names_are_not_reported(files, caplog):
    with caplog.at_level(logging.INFO, "bisum"):
        one_split(files({"a.csv": as_csv(ROWS)}, train="a.csv"))
    assert caplog.messages == []


@pytest.mark.parametrize("extension", [".jsonl", ".parquet"])
def test_whole_numbers_can_be_ids_and_categories(files, extension):
    rows = [{"id": n, "text": "a", "title": "b", "category": n % 2} for n in (5, 6)]
    read = one_split(files({f"a{extension}": FORMATS[extension](rows)}, train=f"a{extension}"), ["en"])
    assert [(row["id"], row["category"]) for row in read] == [("5", "1"), ("6", "0")]


def test_rows_without_ids_are_numbered_through_all_files(files):
    texts = {"a.csv": "text,title,lang\na,b,en\nc,d,es\n", "b.csv": "text,title,lang\ne,f,es\ng,h,en\n"}
    rows = one_split(files(texts, train=["a.csv", "b.csv"]))
    assert [(row["id"], row["document"]) for row in rows] == [
        ("en-1", "a"),
        ("en-4", "g"),
        ("es-2", "c"),
        ("es-3", "e"),
    ]


ARTICLES = [
    {"url": "u/1", "article": {"document": ["a", "b"], "summary": ["A", "B"]}},
    {"url": "u/2", "article": {"document": [], "summary": []}},
    {"url": "u/3", "article": {"document": ["c"], "summary": ["C"]}},
]
SECTIONS = [
    {
        "url": row["url"],
        "article": [{"document": d, "summary": s} for d, s in zip(*row["article"].values(), strict=True)],
    }
    for row in ARTICLES
]


@pytest.mark.parametrize("rows", [ARTICLES, SECTIONS], ids=["object of lists", "list of objects"])
@pytest.mark.parametrize("extension", [".jsonl", ".json", ".parquet"])
def test_parallel_lists_in_a_column_give_one_row_per_pair(files, extension, rows):
    columns = {"document": "article.document", "summary": "article.summary", "id": "url"}
    source = files({f"a{extension}": FORMATS[extension](rows)}, columns, train=f"a{extension}")
    assert [(row["id"], row["document"], row["summary"]) for row in one_split(source, ["en"])] == [
        ("u/1-1", "a", "A"),
        ("u/1-2", "b", "B"),
        ("u/3-1", "c", "C"),
    ]


def test_languages_come_in_the_requested_order_and_others_are_left_out(files):
    source = files({"a.csv": as_csv(ROWS)}, train="a.csv")
    assert [row["id"] for row in one_split(source, ["es", "en"])] == ["007", "día 4", "7", "a,b"]
    assert [row["id"] for row in one_split(source, ["es"])] == ["007", "día 4"]


def test_one_file_per_language_and_split(files):
    by_language = {language: [row for row in ROWS if row["language"] == language] for language in ("en", "es")}
    contents = {f"d/{split}.{code}.csv": as_csv(rows) for split in SPLITS for code, rows in by_language.items()}
    source = files(contents, **{split: f"d/{split}.{{language}}.csv" for split in SPLITS})
    assert source.load(["es"])["test"].to_pylist() == by_language["es"]
    with pytest.raises(
        UserError, match=r"^corpus.train: file d/train.fr.csv does not exist, did you mean 'train.e[ns].csv'\?$"
    ):
        source.load(["en", "fr"])


def test_pattern_matches_files_in_order(files):
    contents = {f"d/part-{n}.jsonl": as_json_lines([ROWS[n]]) for n in range(4)}
    rows = one_split(files(contents, train="d/part-*.jsonl"), ["en"])
    assert [row["id"] for row in rows] == ["7", "a,b"]


def test_one_language_is_set_for_all_rows(files):
    contents = {"a.csv": "text,title\na,b\n"}
    assert one_split(files(contents, train="a.csv", language="pt"), ["pt"])[0]["language"] == "pt"
    with pytest.raises(
        UserError, match=r"^languages: \['en', 'es'\] conflicts with corpus.language, 'pt' for all rows$"
    ):
        one_split(files(contents, train="a.csv", language="pt"))


@pytest.mark.parametrize("extension", [".csv", ".jsonl"])
def test_row_whose_language_differs_from_its_file_is_refused(files, extension):
    rows = [{"text": "a", "title": "b", "lang": code} for code in ("", "en", "es")]
    content = FORMATS[extension](rows)
    for changes in ({"train": f"{{language}}{extension}"}, {"train": f"en{extension}", "language": "en"}):
        with pytest.raises(UserError) as error:
            one_split(files({f"en{extension}": content}, **changes), ["en"])
        assert str(error.value).startswith(f"en{extension}, row 3: language is 'es'; must be 'en', like all rows there")
    read = one_split(files({}, {"language": None}, train=f"{{language}}{extension}"), ["en"])
    assert [row["language"] for row in read] == ["en"] * 3


def test_missing_language_is_reported_with_those_found(files):
    source = files({"a.csv": as_csv(ROWS)}, train="a.csv")
    with pytest.raises(UserError, match=r"^languages: train has no rows in 'fr', only in en \(2\), es \(2\)$"):
        one_split(source, ["en", "fr"])


def expected_split(text: str) -> str:
    """Return a group's documented split at shares of 0.1: the first 8 bytes of its SHA-256 as a fraction."""
    position = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) / 16**16
    return "test" if position < 0.1 else "validation" if position < 0.2 else "train"


def numbered(count: int, **extra) -> list[dict]:
    return [{"id": f"row-{n}", "text": f"Text {n}", "title": "Title", **extra} for n in range(count)]


def splits_of(source, key="id", languages=("en",)) -> dict[str, str]:
    loaded = source.load(list(languages))
    return {row[key]: split for split in SPLITS for row in loaded[split].to_pylist()}


def test_one_file_is_split_by_a_hash_of_the_id(files, caplog):
    rows = numbered(300)
    with caplog.at_level(logging.INFO, "bisum"):
        splits = splits_of(files({"a.csv": as_csv(rows)}, path="a.csv"))
    assert splits == {row["id"]: expected_split(row["id"]) for row in rows}
    sizes = [sum(split == name for split in splits.values()) for name in SPLITS]
    assert sizes[0] > 200
    assert min(sizes) > 10
    assert caplog.messages[-1].startswith(
        "train's rows are split by a hash: {} train, {} validation, {} test".format(*sizes)
    )


def test_split_of_a_row_depends_on_no_other_row(files):
    rows = numbered(300)
    whole = splits_of(files({"a.csv": as_csv(rows)}, path="a.csv"))
    part = splits_of(files({"b.jsonl": as_json_lines(rows[::-1][:150])}, path="b.jsonl"))
    assert part == {name: whole[name] for name in part}


def test_without_ids_equal_documents_stay_together(files):
    rows = [{"text": f"Text {n % 100}", "title": f"Title {n}"} for n in range(200)]
    splits = splits_of(files({"a.csv": as_csv(rows)}, path="a.csv"), "summary")
    assert splits == {row["title"]: expected_split(row["text"]) for row in rows}


def test_a_group_stays_together(files):
    rows = [row | {"product": f"p{n % 60}"} for n, row in enumerate(numbered(180))]
    source = files({"a.csv": as_csv(rows)}, {"group": "product"}, path="a.csv")
    assert splits_of(source) == {row["id"]: expected_split(row["product"]) for row in rows}


def test_rows_without_a_group_are_split_one_by_one(files):
    rows = [row | {"product": ""} for row in numbered(180)]
    splits = splits_of(files({"a.csv": as_csv(rows)}, {"group": "product"}, path="a.csv"))
    assert splits == {row["id"]: expected_split(row["id"]) for row in rows}


def test_translations_that_share_an_id_get_prefixes_and_stay_together(files, caplog):
    contents = {f"{language}.csv": as_csv(numbered(60)) for language in ("en", "es")}
    source = files(contents, path="{language}.csv")
    with caplog.at_level(logging.INFO, "bisum"):
        splits = splits_of(source, languages=["en", "es"])
    rows = [f"row-{n}" for n in range(60)]
    assert splits == {f"{code}-{row}": expected_split(row) for code in ("en", "es") for row in rows}
    assert caplog.messages[1] == "ids occur in several languages; each is prefixed with its language, as in en-..."
    assert splits_of(source) == {row: expected_split(row) for row in rows}


def test_only_the_missing_split_is_taken_from_train(files):
    rows = numbered(200)
    source = files(
        {"a.csv": as_csv(rows), "t.csv": as_csv(rows[:3])}, train="a.csv", test="t.csv", validation_share=0.5
    )
    loaded = source.load(["en"])
    assert loaded["test"].num_rows == 3
    assert loaded["train"].num_rows + loaded["validation"].num_rows == 200
    assert 70 < loaded["validation"].num_rows < 130


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": None}, "path: no files given; set path (files of all rows), or train, validation and test"),
        ({"path": "x", "train": "y"}, "path: conflicts with corpus.train; set path (files of all rows) or train"),
        ({"path": "x", "test": "y"}, "path: conflicts with corpus.test; give the other files as corpus.train"),
        ({"path": []}, "path: must name at least one file"),
        (
            {"train": "{language}.csv", "test": "t.csv"},
            "test: 't.csv' lacks {language}; put it into all names or none",
        ),
        (
            {"path": "x", "test_share": 0.9},
            "test_share: leaves train no rows; test_share + validation_share must be below 1",
        ),
    ],
)
def test_conflicting_settings_are_refused(files, changes, message):
    with pytest.raises(UserError) as error:
        files({}, **changes)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("rwos.csv", "corpus.path: file rwos.csv does not exist, did you mean 'rows.csv'?"),
        ("d", "corpus.path: d is a folder; name its files, for example 'd/*.csv'"),
        ("d/*.parquet", "corpus.path: no file matches 'd/*.parquet'"),
        ("nowhere://a.csv", "corpus.path: nowhere://a.csv: Protocol not known: nowhere"),
        ("nowhere://*.csv", "corpus.path: nowhere://*.csv: Protocol not known: nowhere"),
        ("http://127.0.0.1:9/a.csv", "corpus.path: http://127.0.0.1:9/a.csv: "),
        ("http://127.0.0.1:9/*.csv", "corpus.path: http://127.0.0.1:9/*.csv: "),
    ],
)
def test_missing_files_are_reported(files, path, message):
    source = files({"rows.csv": as_csv(ROWS), "d/a.csv": as_csv(ROWS)}, path=path)
    with pytest.raises(UserError) as error:
        source.load(["en"])
    assert str(error.value).startswith(message)


def test_share_without_rows_is_refused(files):
    source = files({"a.csv": as_csv(numbered(20))}, path="a.csv", test_share=0.001)
    with pytest.raises(
        UserError, match=r"^corpus.test_share: 0.001 of 20 rows leaves test empty; raise it, or set corpus.test$"
    ):
        source.load(["en"])


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
@pytest.mark.parametrize("path", ["s3://bucket/a.csv", "s3://bucket/*.parquet", "zip://a.csv::s3://bucket/a.zip"])
def test_missing_file_system_is_reported_with_its_installation(files, path):
    with pytest.raises(UserError) as error:
        files({}, path=path).load(["en"])
    assert str(error.value) == f"corpus.path: {path}: Install s3fs to access S3: pip install 'fsspec[s3]'"


@pytest.mark.parametrize(
    "path", ["https://me:s3cr3t@h/x.csv", "sftp://s3cr3t@h/x.csv", "zip://x.csv::https://me:s3cr3t@h/{language}.zip"]
)
def test_login_in_a_url_is_refused_and_hidden(call_bisum, one_line, tmp_path, path):
    line = one_line(call_bisum("baseline", "corpus=files", f'corpus.path="{path}"', "tracker=none"))
    assert line.startswith("bisum: corpus.path: a URL must not contain a login (NAME:PASSWORD@); put it into fsspec's")
    assert "s3cr3t" not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["abfs://container@account/a.csv", "github://org:repo@v1/a.csv", "hf://datasets/a/b@main/c.csv", "a@b.csv"]
)
def test_at_signs_outside_a_login_are_accepted(files, path):
    assert files({}, path=path).path == path


def test_signature_of_a_url_is_hidden_in_messages(files, server, caplog):
    contents = {"good.csv": "article,title\na,b\n", "bad.csv": "text,title\nc\n", "a.txt": "x"}
    signed = "?X-Sig=s3cr3t:1,2&key=s3cr3t"
    messages = {
        f"{server}/bad.csv{signed}": f"{server}/bad.csv?..., row 1 (line 2): has 1 value but the header has 2",
        f"{server}/none.csv{signed}": f"corpus.train: {server}/none.csv?...: no such file",
        f"{server}/a.txt{signed}": f"corpus.train: {server}/a.txt?... has the extension '.txt'; it must be",
    }
    for url, message in messages.items():
        with pytest.raises(UserError) as error:
            files(contents, train=url).load(["en"])
        assert str(error.value).startswith(message)
        assert "s3cr3t" not in str(error.value)
    with pytest.raises(UserError) as error:
        files({}, train=f"{server}/{{language}}.csv", test=f"{server}/a.csv{signed}")
    assert "s3cr3t" not in str(error.value)
    with caplog.at_level(logging.INFO, "bisum"):
        one_split(files(contents, train=f"{server}/good.csv{signed}"), ["en"])
    assert f"document is 'article', summary is 'title' in {server}/good.csv?... (guessed" in caplog.text
    assert "s3cr3t" not in caplog.text


@pytest.fixture
def server(tmp_path):
    """Serve the current folder over HTTP; yields the URL."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_files_at_urls_are_read(files, server, tmp_path):
    contents = {"a.csv.gz": gzip.compress(as_csv(ROWS)), "a.parquet": as_parquet(ROWS), "a.zip": as_zip(as_csv(ROWS))}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("inner/a.csv", as_csv(ROWS))
        members.writestr("inner/b.csv", "x")
    urls = [
        f"{server}/a.csv.gz?download=true",
        f"{server}/a.parquet",
        f"file://{tmp_path}/*.parquet",
        "zip://inner/a.csv::archive.zip",
    ]
    for url in urls:
        source = files(contents | {"archive.zip": archive.getvalue()}, train=url)
        assert [row["id"] for row in one_split(source)] == ["7", "a,b", "007", "día 4"], url


def test_bad_file_is_reported_in_one_line_on_the_command_line(call_bisum, write, tmp_path):
    write(tmp_path / "a.csv", "text,title\na,b\nc\n")
    done = call_bisum("baseline", "corpus=files", "corpus.path=a.csv", "languages=[en]", "tracker=none")
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("bisum: a.csv, row 2 (line 3): has 1 value but the header has 2; ")


NAMES = {
    b"caf\xe9.jsonl": r"caf\xe9.jsonl",
    b"a\nb.jsonl": r"a\nb.jsonl",
    b"a\x1b[31m.jsonl": r"a\x1b[31m.jsonl",
    b"a[1].jsonl": "a[1].jsonl",
    "año {x}.jsonl".encode(): "año {x}.jsonl",
}


@pytest.mark.parametrize("name", NAMES)
def test_file_with_any_name_is_read_and_reported_on_one_line(call_bisum, one_line, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    arguments = (
        "baseline",
        "corpus=files",
        f'corpus.path="{path.name}"',
        "languages=[en]",
        "filter=[]",
        "tracker=none",
    )
    path.write_bytes(as_json_lines(numbered(60)))
    done = call_bisum(*arguments)
    assert done.code == 0, done.err
    assert f"in {NAMES[name]} (guessed" in " ".join(done.err.split()) + " ".join(done.out.split())
    path.write_text('{"text": "a"}\n{')
    assert one_line(call_bisum(*arguments)).startswith(f"bisum: {NAMES[name]}, row 2: invalid JSON")


def test_pattern_matches_any_name(files, tmp_path):
    for number, name in enumerate(NAMES):
        (tmp_path / os.fsdecode(name)).write_bytes(as_json_lines([numbered(10)[number]]))
    source = files({}, train="*.jsonl")
    assert len(one_split(source, ["en"])) == len(NAMES)


def test_folder_from_save_to_disk_is_reported_with_the_corpus_that_reads_it(files):
    from datasets import Dataset, DatasetDict

    files({}, path="x")
    Dataset.from_list(numbered(3)).save_to_disk("one")
    DatasetDict({"train": Dataset.from_list(numbered(3))}).save_to_disk("both")
    arrow = "data-00000-of-00001.arrow"
    for path, folder in (("one", "one"), (f"one/{arrow}", "one"), ("both", "both"), (f"both/train/{arrow}", "both")):
        with pytest.raises(UserError) as error:
            files({}, path=path).load(["en"])
        assert str(error.value).startswith(f"corpus.path: {path} belongs to a data set written by save_to_disk; ")
        assert str(error.value).endswith(f"corpus=hub corpus.repo={folder}")


def test_column_without_values_is_null_whatever_its_type(tmp_path):
    """pandas writes an empty column as floats."""
    rows = {"text": ["a b", "c d"], "title": ["a", "c"], "category": pa.array([None, None], pa.float64())}
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table(rows), path)
    paths = {"document": ("text",), "summary": ("title",), "category": ("category",)}
    table = text_rows(read_file(str(path), lambda _: paths, "auto"), "a", paths)
    assert table["category"].to_pylist() == [None, None]
    assert table["document"].to_pylist() == ["a b", "c d"]


def test_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "rows.jsonl")
    for path in (tmp_path / "rows.jsonl", tmp_path / "*.jsonl"):
        with pytest.raises(UserError, match=r"rows\.jsonl is not a regular file"):
            Files(path=str(path), language="en").load(["en"])
