"""CSV and TSV as spreadsheets, databases and people write them."""

import csv
import dataclasses
import gzip
import io
import logging
import zipfile

import pandas as pd
import pytest

from bisum.errors import UserError

VOCABULARY = ["pupils", "read", "books", "in", "the", "library", "while", "rain", "fell", "on", "the", "old", "market"]


def sentence(seed: int, words: int = 9) -> str:
    return " ".join(VOCABULARY[(seed * 5 + n * 7 + n * n) % len(VOCABULARY)] for n in range(words)).capitalize()


ROWS = [[f"r{n}", sentence(n), sentence(n + 20, 4), "en"] for n in range(8)]
HEADER = ["id", "text", "title", "lang"]


@pytest.fixture
def read(defaults, tmp_path, monkeypatch):
    """Write a file and return its rows as (id, document, summary): `read(content, name, columns={...}, key=value)`."""
    monkeypatch.chdir(tmp_path)

    def rows(content: str | bytes, name: str = "a.csv", columns: dict | None = None, **changes) -> list[tuple]:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        columns = dataclasses.replace(defaults.columns, **(columns or {}))
        names = {"path": None, "train": name, "validation": name, "test": name}
        loaded = dataclasses.replace(defaults, columns=columns, **names, **changes).load(["en"])["train"]
        return [(row["id"], row["document"], row["summary"]) for row in loaded.to_pylist()]

    return rows


@pytest.fixture
def refused(read):
    def line(*arguments, **changes) -> str:
        with pytest.raises(UserError) as error:
            read(*arguments, **changes)
        assert "\n" not in str(error.value)
        return str(error.value)

    return line


def plain(rows=ROWS, separator=",", end="\n", header=HEADER) -> str:
    """A file from a program without quotation marks."""
    return "".join(separator.join(row) + end for row in [header, *rows])


def written(rows, header=HEADER, **settings) -> str:
    """A file from Python's csv, with quotation marks where needed."""
    text = io.StringIO(newline="")
    csv.writer(text, **settings).writerows([header, *rows])
    return text.getvalue()


EXPECTED = [tuple(row[:3]) for row in ROWS]


@pytest.mark.parametrize(
    "content",
    [
        plain(end="\r"),
        plain(end="\r\n"),
        plain()[:-1] + "\r",
        "sep=;\n" + plain(separator=";"),
        "\ufeffsep=;\r\n" + plain(separator=";", end="\r\n"),
        '"sep=;"\n\n' + plain(separator=";"),
        "SEP=\t\n" + plain(separator="\t"),
        "sep=\\t\n" + plain(separator="\t"),
        "sep=^\r" + plain(separator="^", end="\r"),
        plain([[*row, ""] for row in ROWS]),
        plain([[*row, "", ""] for row in ROWS]),
        plain([[*row, ""] for row in ROWS], header=[*HEADER, ""]),
        plain(header=[*HEADER, ""]),
        plain([[*row, "a", "b"] for row in ROWS], header=[*HEADER, "note", "note"]),
        plain([["7", *row] for row in ROWS], header=["", *HEADER]),
        plain([[*row[:1], "3,5", *row[1:]] for row in ROWS], ";", header=["id", "score", *HEADER[1:]]),
        plain([[*row, "3"] for row in ROWS], ";", header=[*HEADER, "a, b, c, d, e and f"]),
        plain(header=[f'" {name} "' for name in HEADER]),
        plain(header=[f" {name}\t" for name in HEADER]),
        plain().replace("\n", "\n\n"),
        plain().replace("\n", "\n   \n"),
        plain() + ",,,\n" * 3,
        plain().encode("utf-16"),
        plain(end="\r\n", separator="\t").encode("utf-16"),
        b"\xfe\xff" + plain().encode("utf-16-be"),
        plain().encode("utf-16-le"),
        plain().encode("utf-16-be"),
        plain(end="\r").encode("utf-16-le"),
        plain().encode("utf-32"),
        written(ROWS, quoting=csv.QUOTE_ALL),
        written(ROWS, quoting=csv.QUOTE_ALL, lineterminator="\r"),
    ],
)
def test_variants_of_csv_give_the_same_rows(read, content):
    assert read(content) == EXPECTED
    content = content.encode() if isinstance(content, str) else content
    assert read(gzip.compress(content), "a.csv.gz") == EXPECTED
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("a.csv", content)
    assert read(archive.getvalue(), "a.csv.zip") == EXPECTED


def test_carriage_return_within_a_text_is_white_space(read):
    rows = [[*row] for row in ROWS]
    rows[3][1] = "One.\rTwo"
    rows[5][1] = '"One, quoted.\rTwo"'
    for end in ("\n", "\r\n"):
        found = read(plain(rows, end=end))
        assert [text for _, text, _ in found][3:6:2] == ["One.\rTwo", "One, quoted.\rTwo"]
        assert len(found) == 8


def test_rows_match_pandas(read, tmp_path):
    rows = [[*row] for row in ROWS]
    rows[2][1:3] = ['Said "no",\nthen left.', "A, b"]
    rows[4][1] = "\n\nTwo lines before, two after\n\n"
    frame = pd.DataFrame(rows, columns=HEADER)
    for settings in ({}, {"sep": ";"}, {"sep": "\t"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\r\n"}):
        content = frame.to_csv(**settings)  # with a column of row numbers that has no name
        known = pd.read_csv(io.StringIO(content, newline=""), sep=settings.get("sep", ","))
        assert read(content) == [tuple(row) for row in known[HEADER[:3]].itertuples(index=False)]


def test_skipped_content_is_reported(read, caplog):
    caplog.set_level(logging.INFO, "bisum")
    read(plain([[*row, ""] for row in ROWS]))
    assert "a.csv: every row ends with an extra ',', which is ignored" in caplog.messages
    read(plain() + ",,,\n\n,,,\n")
    assert "a.csv: empty rows left out: 2" in caplog.messages
    rows = [[*row] for row in ROWS]
    rows[1][2] = r"\N"
    assert read(plain(rows, "\t"), "a.tsv")[1] == ("r1", rows[1][1], None)
    assert r"a.tsv: \N values read as missing (as written by MySQL and PostgreSQL): 1" in caplog.messages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({3: [*ROWS[3], "note"]}, "row 4 (line 5): has 5 values but the header has 4; enclose values"),
        ({3: [*ROWS[3], ""]}, "row 4 (line 5): has 5 values but the header has 4; enclose values"),
        ({0: [*ROWS[0], ""]}, "row 1 (line 2): has 5 values but the header has 4; enclose values"),
        ({3: ["r3", '"a', 'b"', "en"]}, "row 4 (line 5): has 3 values but the header has 4; enclose values"),
        ({3: ["r3", '"a\nb"', "c"]}, "row 4 (lines 5 to 6): has 3 values but the header has 4; enclose values"),
        ({3: ["r3", "a\0b", "c", "en"]}, "line 5: contains a NUL character; save the file as UTF-8"),
    ],
)
def test_bad_rows_are_reported_with_their_line(refused, change, message):
    rows = [change.get(n, row) for n, row in enumerate(ROWS)]
    assert refused(plain(rows)).startswith(f"a.csv, {message}")


def test_repeated_name_of_a_picked_column_is_refused(refused):
    rows = [[*row, "b"] for row in ROWS]
    assert (
        refused(plain(rows, header=[*HEADER, "title"]))
        == "a.csv: the header contains 'title' twice; it must occur once"
    )


def test_names_that_differ_only_in_case_are_not_guessed(read, refused):
    content = plain([[*row, "b"] for row in ROWS], header=["id", "Text", "title", "lang", "TEXT"])
    assert refused(content).startswith(
        "corpus.columns.document: a.csv has Text and TEXT; name one of them (columns: id,"
    )
    assert read(content, columns={"document": "Text"}) == EXPECTED


def test_all_missing_columns_are_reported_together(refused):
    line = refused("key;lead;rest\n1;a;b\n")
    assert line.startswith("corpus.columns.document: a.csv has none of document, text, ")
    assert "(columns: key, lead, rest); corpus.columns.summary: none of summary, highlights, " in line
    line = refused(plain(), columns={"summary": "titel", "category": "part"})
    assert line == (
        "corpus.columns.summary: a.csv has no column 'titel', did you mean 'title'? (columns: id, text, title, lang); "
        "corpus.columns.category: no column 'part'"
    )


POSITIONS = [(column, closed) for column in range(4) for closed in (None, 0, 1, 2, 3)]


@pytest.mark.parametrize(("first", "last"), [(0, 1), (0, 7), (2, 3), (2, 6), (6, 7)])
@pytest.mark.parametrize(("column", "closed"), POSITIONS)
def test_stray_quotation_mark_never_merges_rows(read, refused, column, closed, first, last):
    """A value of row `first` begins with a quotation mark; a value of row `last`, or no value, ends with one."""
    rows = [[*row] for row in ROWS]
    rows[first][column] = '"' + rows[first][column]
    if closed is not None:
        rows[last][closed] += '"'
    line = refused(plain(rows))
    assert line.startswith(f"a.csv, row {first + 1} (")
    assert "corpus.quoting=none" in line
    kept = [row for row in rows if row[3] == "en"]  # the others have the quotation mark in their language
    assert read(plain(rows), quoting="none") == [tuple(row[:3]) for row in kept]


def test_stray_quotation_mark_in_the_header_is_refused(refused):
    assert refused('id,"text,title\nr1,a,b\nr2,c",d\n').startswith("a.csv, header (lines 1 to 3): a quoted value")


def test_value_that_contains_rows_is_read_with_minimal_quoting(read):
    content = 'text,title\nSome text,Its title\n"1,2\n3,4\n5,6",Numbers\n'
    with pytest.raises(
        UserError, match=r"^a.csv, row 2 \(lines 3 to 5\): a quoted value seems to contain several rows"
    ):
        read(content)
    assert read(content, quoting="minimal")[1][1:] == ("1,2\n3,4\n5,6", "Numbers")


POEMS = [
    "Roses are red, violets are blue,\nsugar is sweet, and so are you.",
    "Roses are red, yes\nViolets are blue",
    "One, two, three,\nfour, five, six,\n\nseven, eight, nine,\nten.",
    'He message, "Stay, please."\n"No," she message, "never."',
    "Dear Ann,\r\nthe river, the village, and the rain are well.\r\nYours, B.",
    "A paragraph, with commas, and more, of them, to the end.\n\nAnother one, with commas, too, as many, as that.",
]


@pytest.mark.parametrize("header", [["text", "title"], ["id", "text", "title"], HEADER, HEADER[::-1]])
@pytest.mark.parametrize("settings", [{}, {"delimiter": ";"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n"}])
def test_genuine_values_of_several_lines_are_read(read, header, settings):
    rows = [{"id": f"p{n}", "text": poem, "title": f"Poem, number {n}", "lang": "en"} for n, poem in enumerate(POEMS)]
    content = written([[row[name] for name in header] for row in rows], header, **settings)
    assert [row[1:] for row in read(content)] == [(row["text"], row["title"]) for row in rows]


def test_quotation_marks_in_tsv_are_text(read, caplog):
    caplog.set_level(logging.INFO, "bisum")
    rows = [[*row] for row in ROWS]
    rows[1][1] = '"Never" was the answer'
    rows[2][2] = '"Unclosed'
    rows[4][1] = 'closed 5"'
    rows[6][1] = '"Both ends"'
    assert read(plain(rows, "\t"), "a.tsv") == [tuple(row[:3]) for row in rows]
    message = "a.tsv: values that keep their surrounding quotation marks (corpus.quoting=minimal removes them): 1"
    assert message in caplog.messages
    assert read(plain(rows, "\t"), "a.tsv", quoting="none")[6][1] == '"Both ends"'


def test_tsv_that_requires_quoting_is_read_with_it_and_reported(read, caplog):
    caplog.set_level(logging.INFO, "bisum")
    rows = [[*row] for row in ROWS]
    rows[3][1] = 'Two\nlines with a "word"'
    rows[5][1] = "A\ttab"
    for settings, reason in (
        ({}, "rows would otherwise differ in their number of values"),
        ({"quoting": csv.QUOTE_ALL}, "all column names are quoted"),
    ):
        assert read(written(rows, delimiter="\t", **settings), "a.tsv") == [tuple(row[:3]) for row in rows]
        assert any(reason in message and "corpus.quoting" in message for message in caplog.messages)


def test_quotation_marks_do_not_mend_a_ragged_tsv(refused):
    rows = [[*row] for row in ROWS]
    rows[2][1], rows[4] = '"Open', rows[4][:3]
    line = refused(plain(rows, "\t"), "a.tsv")
    assert line.startswith("a.tsv, row 5 (line 6): has 3 values but the header has 4; enclose values containing")
    assert line.endswith("in double quotes and set corpus.quoting=minimal")


def test_latin_1_is_refused_with_its_line(refused):
    rows = [[*row] for row in ROWS]
    rows[2][1] = "El año pasado"
    line = refused(plain(rows).encode("latin-1"))
    assert line.startswith("a.csv, line 4: not UTF-8 (byte 8 of the line); convert the file to UTF-8 (iconv -f WINDOWS")


def test_properties_of_a_file_are_reported_once_for_all_splits(call_bisum, tmp_path):
    (tmp_path / "a.csv").write_text("text,title,lang\nA cat sleeps.,A cat on the roof,en,\n", encoding="utf-8")
    splits = [f"corpus.{split}=a.csv" for split in ("train", "validation", "test")]
    done = call_bisum("baseline", "corpus=files", *splits, "languages=[en]", "tracker=none", "hydra.run.dir=run")
    assert done.out.count("> a.csv: every row ends with an extra ',', which is ignored") == 1


@pytest.mark.parametrize(
    "merged",
    [
        'r1,"Doc one is here, sum one\nr2,Doc two here",sum two\n',
        'r1,"Doc one is here\nr2,Doc two here",sum two\n',
    ],
)
def test_two_merged_rows_are_detected(refused, merged):
    rows = "".join(f'r{n},"Doc {n} here, yes",sum {n}\n' for n in range(3, 43))
    line = refused(f"id,document,summary\n{merged}{rows}")
    assert line.startswith("a.csv, row 1 (lines 2 to 3): a quoted value seems to contain several rows")


@pytest.mark.parametrize("text", ["Rome, x\nOslo,London,Paris", "A poem,\nwith, commas, here", "One,\n2,500 men,went"])
def test_value_of_two_genuine_lines_is_read(read, text):
    rows = "".join(f'r{n},"Doc {n} here, yes",sum {n}\n' for n in range(3, 43))
    assert len(read(f'id,document,summary\nr1,"{text}",sum one\n{rows}')) == 41


def test_space_before_a_quotation_mark_is_ignored(read):
    assert read('id, "text", "title"\nr1, "a, b", "c"\n') == [("r1", "a, b", "c")]


def test_repeated_header_is_left_out_and_reported(read, caplog):
    with caplog.at_level(logging.INFO, "bisum"):
        assert len(read("id,text,title\nr1,a b,c\nid,text,title\nr2,d e,f\n")) == 2
    assert "a.csv: rows that repeat the header, left out: 1" in caplog.messages


def test_null_and_na_are_text_and_reported(read, caplog):
    with caplog.at_level(logging.INFO, "bisum"):
        read("text,title\na b,NULL\nNA,d\nc,NA\n")
    assert "a.csv: NULL values read as text, not as missing: 1" in caplog.messages
    assert "a.csv: NA values read as text, not as missing: 2" in caplog.messages


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_binary_file_is_reported(refused, start):
    assert ", not text; save its contents as text" in refused(start + b"\n\x00rest")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("title", ["привет мир", "猫が寝る"])
def test_utf_16_can_have_any_script_after_its_header(read, encoding, title):
    assert read(f"id,text,title\nr1,{title},x\n".encode(encoding)) == [("r1", title, "x")]
