import gzip
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bisum.corpus.marc import Marc
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.interfaces.source import COLUMNS, SPLITS, RowSettings, Source

LANGUAGES = ["en", "es", "ja"]


def load(path, languages=LANGUAGES):
    return Marc(path=str(path), max_train_rows=None, max_eval_rows=None, language_temperature=1).load(languages)


def error_line(path, languages=LANGUAGES) -> str:
    with pytest.raises(UserError) as error:
        load(path, languages)
    line = str(error.value)
    assert "\n" not in line
    return line


def train_file(marc: Path) -> Path:
    return marc / "json" / "train" / "dataset_es_train.json"


def test_marc_rows_keep_their_text_and_order(marc):
    splits = load(marc, ["es", "ja"])
    assert tuple(splits) == SPLITS
    train = splits["train"]
    assert tuple(train.column_names) == COLUMNS
    assert train["id"].to_pylist() == [*(f"es_train_{n}" for n in (1, 2, 3, 4)), "ja_train_1", "ja_train_2"]
    assert train.slice(1, 1).to_pylist() == [
        {
            "id": "es_train_2",
            "document": "La lámpara llegó con el pie roto y sin tornillos.",
            "summary": "Llegó roto",
            "language": "es",
            "category": "home",
        }
    ]
    assert splits["validation"]["id"].to_pylist() == ["es_dev_1", "es_dev_2", "ja_dev_1"]
    assert splits["test"].num_rows == 3


def test_gzipped_files_and_the_json_folder_have_the_same_rows(marc, gzipped_marc):
    assert load(gzipped_marc) == load(marc)
    assert load(marc / "json") == load(marc)


def test_plain_file_is_preferred_to_a_gzipped_one(marc):
    train_file(marc).with_name("dataset_es_train.json.gz").write_bytes(b"not gzip at all")
    assert load(marc)["train"].num_rows == 13


def test_sample_concatenates_languages_in_the_given_order():
    sample = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1)
    languages = sample.load(["es", "en"])["validation"]["language"].to_pylist()
    assert languages == ["es"] * 190 + ["en"] * 190
    assert set(sample.load(["es"])["train"]["language"].to_pylist()) == {"es"}


def test_sources_satisfy_the_protocol():
    assert isinstance(Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1), Source)
    assert isinstance(Marc(path="x", max_train_rows=1, max_eval_rows=1, language_temperature=1), Source)
    assert not isinstance(RowSettings(max_train_rows=None, max_eval_rows=None, language_temperature=1), Source)


def test_sample_lists_its_languages_for_an_unknown_one():
    with pytest.raises(UserError, match=r"^languages: the sample corpus has no 'fr'; it has en, es$"):
        Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "fr"])


def test_path_that_is_missing_or_a_file_is_refused(marc):
    assert error_line(marc / "nowhere") == (
        f"corpus.path: {marc}/nowhere does not exist; it must contain json/train, json/dev, json/test"
    )
    assert "is not a folder" in error_line(train_file(marc))


def test_missing_split_is_reported(marc):
    shutil.rmtree(marc / "json" / "dev")
    assert error_line(marc) == f"corpus.path: {marc}/json lacks the folder dev; it must have train, dev and test"


def test_missing_language_is_reported_with_those_found(marc):
    assert error_line(marc, ["en", "de"]) == (
        f"languages: {marc}/json/train has no dataset_de_train.json[.gz]; languages found: en, es, ja"
    )


def test_missing_column_is_reported_with_those_found(marc, edit_rows):
    path = edit_rows("train", "es", lambda rows: [row.pop("review_title") for row in rows])
    assert error_line(marc) == (
        f"{path}: no column review_title; columns found: "
        "review_id, product_id, reviewer_id, stars, review_body, language, product_category"
    )


def test_all_missing_columns_are_reported_together(marc, edit_rows):
    path = edit_rows("train", "es", lambda rows: [(row.pop("review_title"), row.pop("language")) for row in rows])
    assert error_line(marc).startswith(f"{path}: no column review_title, language; columns found: review_id, ")


def test_nan_and_utf_16_are_read(marc, edit_rows):
    path = edit_rows("train", "es", lambda rows: rows[0].update(review_title=float("nan")))
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))
    rows = load(marc, ["es"])["train"]
    assert rows["summary"].to_pylist()[:2] == [None, "Llegó roto"]


def test_wrong_type_is_reported_with_row_and_column(marc, edit_rows):
    path = edit_rows("train", "es", lambda rows: rows[2].update(review_body=17))
    assert error_line(marc) == f"{path}, row 3: review_body is 17; must be text, as in row 1"


def test_language_that_differs_from_the_file_name_is_refused(marc, edit_rows):
    path = edit_rows("train", "es", lambda rows: rows[3].update(language="en"))
    assert error_line(marc) == f"{path}, row 4: language is 'en'; must be 'es', as in the file's name"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '"stars": "4"',
            '"stars": 4"',
            r", row 1: invalid JSON \(Expecting ',' delimiter, character \d+\); each",
        ),
        ("{", "[{", r", row 1: invalid JSON \("),
        ("Llegó".encode(), "Llegó".encode("latin-1"), r", line 2: not UTF-8 \(byte \d+ of the line\); convert"),
        ("Llegó", r"Lleg\\ud83d", r", row 2: review_title contains a lone surrogate"),
        ('"stars": "4"', '"review_id": "again"', r", row 1: the key 'review_id' occurs twice; it must occur once$"),
    ],
)
def test_invalid_json_lines_are_refused(marc, old, new, expected):
    old, new = (text.encode() if isinstance(text, str) else text for text in (old, new))
    path = train_file(marc)
    content = path.read_bytes()
    path.write_bytes(content.replace(old, new.replace(rb"\\", b"\\")))
    assert path.read_bytes() != content
    assert re.match(re.escape(str(path)) + expected, error_line(marc))


def test_json_values_that_are_not_objects_are_refused(marc):
    path = train_file(marc)
    path.write_text('["es_train_1", "Llegó roto"]\n', encoding="utf-8")
    problem = "['es_train_1', 'Llegó roto'] is not a JSON object; each row must be one"
    assert error_line(marc) == f"{path}, row 1: {problem}"


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_file_without_rows_is_refused(marc, content):
    path = train_file(marc)
    path.write_bytes(content)
    assert error_line(marc).startswith(f"{path}: has no rows; ")


def test_truncated_gzip_file_is_refused(gzipped_marc):
    path = train_file(gzipped_marc).with_name("dataset_es_train.json.gz")
    path.write_bytes(path.read_bytes()[:-30])
    assert error_line(gzipped_marc).startswith(f"{path}: damaged gzip file (Compressed file ended")


def test_plain_text_with_a_gzip_name_is_refused(gzipped_marc):
    path = train_file(gzipped_marc).with_name("dataset_es_train.json.gz")
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert "drop .gz from the name if it is plain text" in error_line(gzipped_marc)


def test_file_that_cannot_be_opened_is_refused(marc):
    path = train_file(marc)
    path.unlink()
    path.mkdir()
    assert error_line(marc) == f"{path}: Is a directory"


def test_configurable_classes_import_nothing_heavy():
    heavy = "{'pyarrow', 'numpy', 'torch', 'transformers', 'datasets', 'nltk'}"
    code = f"import sys, bisum.interfaces.source, bisum.corpus.filters; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
