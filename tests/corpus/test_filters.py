import sys

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bisum.corpus.filters import Books, Deduplicate, Length, LongTitles
from bisum.corpus.languages import count_words
from bisum.corpus.marc import Marc
from bisum.errors import UserError
from bisum.interfaces.filter import Filter
from bisum.interfaces.source import COLUMNS

SCHEMA = pa.schema([(column, pa.string()) for column in COLUMNS])
NONE_HELD_OUT = SCHEMA.empty_table()


def table(*rows: tuple[str, str, str]) -> pa.Table:
    """Rows of (document, summary, language)."""
    return pa.Table.from_pylist(
        [
            {"id": str(number), "document": document, "summary": summary, "language": language, "category": None}
            for number, (document, summary, language) in enumerate(rows)
        ],
        schema=SCHEMA,
    )


def kept(row_filter: Filter, rows: pa.Table, held_out: pa.Table = NONE_HELD_OUT) -> list[str]:
    return rows.filter(row_filter.keep(rows, held_out))["id"].to_pylist()


@pytest.fixture
def train(marc) -> pa.Table:
    source = Marc(path=str(marc), max_train_rows=None, max_eval_rows=None, language_temperature=1)
    return source.load(["en", "es", "ja"])["train"]


def test_words_match_str_split():
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    texts = [
        "", " ", "\t\n", "uno", " uno", "uno\t", "el niño  está aquí", "año\u00a0nuevo", "\u3000uno\u3000\u3000dos",
        "uno\u200bdos", "\u00a0", *(f"{space}a{space}{space}b c{space}" for space in spaces),
    ]  # fmt: skip
    rows = table(*(("x", text, "es") for text in texts))
    assert len(spaces) >= 25
    assert count_words(rows, "summary").to_pylist() == [len(text.split()) for text in texts]


def test_unspaced_languages_count_characters():
    rows = table(
        ("x", "面白い本", "ja"), ("x", " 面白い\u3000本 ", "ja"), ("x", "很 好", "zh"), ("x", "面白い 本", "en")
    )
    assert count_words(rows, "summary").to_pylist() == [4, 4, 2, 2]


def test_long_titles_keeps_more_than_two_words(train):
    expected = ["en_train_1", "en_train_3", "en_train_5", "en_train_6", "en_train_7"]
    expected += ["es_train_1", "es_train_4", "ja_train_1"]
    assert kept(LongTitles(min_words=3), train) == expected
    assert kept(LongTitles(min_words=5), train) == ["en_train_3", "en_train_5", "es_train_4"]
    assert len(kept(LongTitles(min_words=1), train)) == 13


def test_books_keeps_the_named_categories(train):
    expected = ["en_train_1", "en_train_2", "en_train_5", "en_train_7"]
    expected += ["es_train_1", "es_train_3", "es_train_4", "ja_train_1"]
    assert kept(Books(categories=["book", "digital_ebook_purchase"]), train) == expected
    assert kept(Books(categories=["drugstore", "nowhere"]), train) == ["en_train_4"]


def test_books_lists_the_most_frequent_categories_first(train):
    with pytest.raises(UserError) as error:
        Books(categories=["books"]).keep(train, NONE_HELD_OUT)
    assert str(error.value) == (
        "no row has a category in ['books']; categories found, with row counts: "
        "book (6), home (4), digital_ebook_purchase (2), drugstore (1)"
    )


def test_books_lists_at_most_ten_categories():
    rows = table(*[("x", "y", "en")] * 12).drop_columns("category")
    rows = rows.append_column("category", pa.array([f"c{number:02}" for number in range(12)]))
    with pytest.raises(UserError, match=r"counts: c00 \(1\), .*, c09 \(1\) and 2 more$"):
        Books(categories=["book"]).keep(rows, NONE_HELD_OUT)


def test_books_reports_a_corpus_without_categories():
    with pytest.raises(UserError, match=r"with row counts: none$"):
        Books(categories=["book"]).keep(table(("x", "y", "en")), NONE_HELD_OUT)


def bounds(**given: int) -> Length:
    unset = dict.fromkeys(("min_document_words", "max_document_words", "min_summary_words", "max_summary_words"), None)
    return Length(**(unset | given))


def test_length_bounds_are_inclusive():
    rows = table(("a b", "a", "en"), ("a b c", "a b", "en"), ("a b c d", "a b c", "en"), ("本本 本本", "本", "ja"))
    assert kept(bounds(), rows) == ["0", "1", "2", "3"]
    assert kept(bounds(min_document_words=3), rows) == ["1", "2", "3"]
    assert kept(bounds(max_document_words=3), rows) == ["0", "1"]
    assert kept(bounds(min_summary_words=2), rows) == ["1", "2"]
    assert kept(bounds(max_summary_words=2), rows) == ["0", "1", "3"]
    assert kept(bounds(min_document_words=3, max_document_words=3, min_summary_words=0), rows) == ["1"]


@pytest.mark.parametrize("column", ["document", "summary"])
def test_length_refuses_a_minimum_above_the_maximum(column):
    with pytest.raises(UserError, match=rf"^min_{column}_words: 5 is above max_{column}_words, 4"):
        bounds(**{f"min_{column}_words": 5, f"max_{column}_words": 4})
    bounds(**{f"min_{column}_words": 5, f"max_{column}_words": 5})


def test_deduplicate_keeps_the_first_of_repeated_pairs():
    rows = table(
        ("Llegó roto.", "Roto", "es"),
        ("Llegó roto.", "Mal", "es"),  # another summary
        (" Llegó roto.\n", "Roto\u00a0", "es"),  # the first again, apart from white space at the ends
        ("llegó roto.", "Roto", "es"),  # another document
        ("Llegó roto.", "Mal", "es"),
    )
    assert kept(Deduplicate(), rows) == ["0", "1", "3"]


def test_deduplicate_drops_held_out_documents():
    rows = table(("En train", "a", "es"), ("En test", "b", "es"), ("\tEn test ", "c", "es"))
    assert kept(Deduplicate(), rows, held_out=table(("En test\n", "z", "es"))) == ["0"]


def test_deduplicate_compares_rows_across_chunks():
    rows = pa.concat_tables([table(("x", "y", "en"))] * 3)
    assert rows["document"].num_chunks == 3
    assert Deduplicate().keep(rows, NONE_HELD_OUT).to_pylist() == [True, False, False]


def test_own_filter_needs_only_keep(train):
    class NoLamps:
        def keep(self, rows, held_out):
            return pc.invert(pc.match_substring(rows["document"], "lámpara"))

    assert isinstance(NoLamps(), Filter)
    assert not isinstance(object(), Filter)
    assert "es_train_2" not in kept(NoLamps(), train)
    assert len(kept(NoLamps(), train)) == 12
