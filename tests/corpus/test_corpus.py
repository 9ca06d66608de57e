import hashlib
import json
import struct
from collections import Counter
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bisum.corpus.corpus import load_corpus
from bisum.corpus.filters import Books, Deduplicate, LongTitles
from bisum.corpus.fingerprints import fingerprint
from bisum.corpus.marc import Marc
from bisum.errors import UserError
from bisum.interfaces.source import COLUMNS, SPLITS, RowSettings

LANGUAGES = ["en", "es", "ja"]


@dataclass(frozen=True, kw_only=True)
class Rows(RowSettings):
    """A user's own source: rows given as lists."""

    splits: dict[str, list[dict]]

    def load(self, languages):
        return {
            split: pa.Table.from_pylist([row for row in rows if row["language"] in languages])
            for split, rows in self.splits.items()
        }


def row(name: str, document: str, summary: str = "un título", language: str = "es") -> dict:
    return {"id": name, "document": document, "summary": summary, "language": language, "category": "book"}


def rows_source(train=(), validation=(), test=(), **limits) -> Rows:
    splits = {
        "train": [row("a", "uno"), *train],
        "validation": [row("b", "dos"), *validation],
        "test": [row("c", "tres"), *test],
    }
    return Rows(splits=splits, **({"max_train_rows": None, "max_eval_rows": None, "language_temperature": 1} | limits))


def marc_source(path, max_train_rows=None, max_eval_rows=None) -> Marc:
    limits = {"max_train_rows": max_train_rows, "max_eval_rows": max_eval_rows}
    return Marc(path=str(path), language_temperature=1, **limits)


def load(path, filters=None, languages=LANGUAGES, seed=42, **limits):
    return load_corpus(marc_source(path, **limits), filters or {}, languages, seed)


def languages_of(rows: pa.Table) -> Counter:
    return Counter(rows["language"].to_pylist())


def error_line(source, filters=None, languages=LANGUAGES) -> str:
    with pytest.raises(UserError) as error:
        load_corpus(source, filters or {}, languages, seed=0)
    line = str(error.value)
    assert "\n" not in line
    return line


def test_report_accounts_for_every_row(marc, edit_rows):
    edit_rows("train", "en", lambda rows: rows[0].update(review_body=" \n\u00a0"))
    edit_rows("train", "es", lambda rows: rows[0].update(review_title=None))
    filters = {
        "long_titles": LongTitles(min_words=3),
        "books": Books(categories=["book", "digital_ebook_purchase"]),
    }
    corpus = load(marc, filters, max_train_rows=2, languages=["en", "es"])
    # en: 7 minus 1 blank, 2 short titles, 2 of home; es: 4 minus 1 blank, 2 short. A sample of 2 of 2 + 1: 1.33, 0.67.
    assert json.loads(json.dumps(asdict(corpus.report)))["splits"]["train"] == {
        "en": {"loaded": 7, "dropped": {"empty": 1, "long_titles": 2, "books": 2, "sample": 1}, "kept": 1},
        "es": {"loaded": 4, "dropped": {"empty": 1, "long_titles": 2, "books": 0, "sample": 0}, "kept": 1},
    }
    assert list(corpus.report.splits["train"]["en"].dropped) == ["empty", "long_titles", "books", "sample"]
    assert languages_of(corpus.splits["train"]) == {"en": 1, "es": 1}
    assert asdict(corpus.report.splits["validation"]["es"]) == {
        "loaded": 2,
        "dropped": {"empty": 0, "long_titles": 1, "books": 0, "sample": 0},
        "kept": 1,
    }


# Shares of 7 English, 4 Spanish and 2 Japanese rows: 2.69, 1.54, 0.77 of 5; 3.23, 1.85, 0.92 of 6.
@pytest.mark.parametrize(
    ("limit", "expected"),
    [(5, {"en": 3, "es": 1, "ja": 1}), (6, {"en": 3, "es": 2, "ja": 1}), (13, {"en": 7, "es": 4, "ja": 2})],
)
def test_sample_keeps_the_languages_shares(marc, limit, expected):
    assert languages_of(load(marc, max_train_rows=limit).splits["train"]) == expected


def test_limits_apply_to_each_split(marc):
    splits = load(marc, max_train_rows=100, max_eval_rows=3).splits
    assert {split: rows.num_rows for split, rows in splits.items()} == {"train": 13, "validation": 3, "test": 3}


def test_seed_determines_the_sample(marc):
    def ids(seed, split="train", limit=None):
        return load(marc, seed=seed, max_train_rows=limit).splits[split]["id"].to_pylist()

    assert ids(1) == ids(2) == sorted(ids(1))
    assert ids(0, "test") != sorted(ids(0, "test"))
    assert ids(1, limit=5) == ids(1, limit=5) == sorted(ids(1, limit=5))
    assert {tuple(sorted(ids(seed, limit=5))) for seed in range(5)} != {tuple(sorted(ids(0, limit=5)))}


def test_all_seeds_score_the_same_rows_in_the_same_order(marc):
    """This makes runs with different seeds comparable; the ids' SHA-256 selects and orders the rows."""

    def ids(seed, split, limit):
        return load(marc, seed=seed, max_eval_rows=limit).splits[split]["id"].to_pylist()

    for split in ("validation", "test"):
        for limit in (3, 5, None):
            assert ids(1, split, limit) == ids(2, split, limit) == ids(3, split, limit)
        every = ids(0, split, None)
        assert every == sorted(every, key=lambda name: hashlib.sha256(name.encode()).digest()[:8])
        assert set(ids(0, split, 3)) < set(ids(0, split, 4)) < set(every)


def test_languages_of_scored_rows_are_mixed(marc):
    languages = load(marc).splits["test"]["language"].to_pylist()
    assert languages != sorted(languages)


def test_order_of_the_source_does_not_matter(marc):
    first = load(marc, max_train_rows=6)
    for path in marc.rglob("*.json"):
        path.write_text("".join(reversed(path.read_text(encoding="utf-8").splitlines(keepends=True))), "utf-8")
    again = load(marc, max_train_rows=6, languages=["ja", "es", "en"])
    assert again.splits == first.splits
    assert again.fingerprint == first.fingerprint


def test_held_out_rows_are_unfiltered():
    class DropsAllOfTheRepeated:
        def keep(self, rows, held_out):
            return pc.not_equal(rows["document"], "repetido")

    repeated = {
        "train": [row("t1", "repetido"), row("t2", "en los tres"), row("t3", "bien")],
        "validation": [row("v1", "en los tres"), row("v2", "bien", summary="")],
        "test": [row("e1", "en los tres"), row("e2", "repetido")],
    }
    filters = {"deduplicate": Deduplicate(), "mine": DropsAllOfTheRepeated()}
    for order in (filters, dict(reversed(filters.items()))):
        splits = load_corpus(rows_source(**repeated), order, ["es"], 0).splits
        assert sorted(splits["train"]["id"].to_pylist()) == ["a", "t3"]
        assert splits["validation"]["id"].to_pylist() == ["b"]
        assert sorted(splits["test"]["id"].to_pylist()) == ["c", "e1"]


def test_source_can_encode_its_columns_in_any_way():
    class Encoded(Rows):
        def load(self, languages):
            return {
                split: pa.table([rows[name].dictionary_encode() for name in reversed(rows.column_names)],
                                names=rows.column_names[::-1])
                for split, rows in super().load(languages).items()
            }  # fmt: skip

    plain = rows_source()
    encoded = Encoded(splits=plain.splits, max_train_rows=None, max_eval_rows=None, language_temperature=1)
    one, other = (load_corpus(source, {}, ["es"], 0) for source in (plain, encoded))
    assert one.splits == other.splits
    assert one.splits["train"].schema == pa.schema([(column, pa.string()) for column in COLUMNS])


# Fingerprints


def split_tables() -> dict[str, pa.Table]:
    return rows_source(train=[row("d", "año nuevo"), row("e", "", language="en")]).load(["en", "es"])


def rewritten(splits: dict[str, pa.Table], change) -> dict[str, pa.Table]:
    return {split: change(rows) for split, rows in splits.items()}


def test_fingerprint_matches_its_description():
    digest = hashlib.sha256()
    documents = {"train": ("a", "uno", "d", "año nuevo"), "validation": ("b", "dos"), "test": ("c", "tres")}
    for split, values in documents.items():
        ids, texts = values[::2], values[1::2]
        digest.update(f"{split} {len(ids)}\n".encode())
        for column in (ids, texts, ["un título"] * len(ids), ["es"] * len(ids), [None] * len(ids)):
            encoded = [None if value is None else value.encode() for value in column]
            digest.update(b"".join(struct.pack("<q", -1 if value is None else len(value)) for value in encoded))
            digest.update(b"".join(value for value in encoded if value is not None))
    splits = rows_source(train=[row("d", "año nuevo")]).load(["es"])
    splits = rewritten(splits, lambda rows: rows.set_column(4, "category", pa.nulls(rows.num_rows, pa.string())))
    assert fingerprint(splits) == digest.hexdigest()


def test_fingerprint_ignores_chunks_order_and_encoding(tmp_path):
    def through_parquet(rows):
        pq.write_table(rows, tmp_path / "rows.parquet", use_dictionary=True, row_group_size=1)
        return pq.read_table(tmp_path / "rows.parquet", read_dictionary=["category"])

    def in_type(kind):
        return lambda rows: rows.cast(pa.schema([(name, kind) for name in rows.column_names]))

    splits = split_tables()
    same = {
        "chunks": lambda rows: pa.concat_tables([rows.slice(i, 1) for i in range(rows.num_rows)]),
        "order": lambda rows: rows.take(list(range(rows.num_rows))[::-1]),
        "large strings": in_type(pa.large_string()),
        "string views": in_type(pa.string_view()),
        "dictionaries": in_type(pa.dictionary(pa.int32(), pa.string())),
        "parquet": through_parquet,
        "column order": lambda rows: rows.select(rows.column_names[::-1]),
    }
    assert {name: fingerprint(rewritten(splits, change)) for name, change in same.items()} == dict.fromkeys(
        same, fingerprint(splits)
    )


def test_fingerprint_changes_with_every_value():
    def train(*rows):
        return rows_source(train=rows).load(["en", "es"])

    variants = [
        train(row("d", "año nuevo")),
        train(row("d", "ano nuevo")),
        train(row("d", "año nuev", summary="oun título")),  # the same bytes, split elsewhere
        train(row("d", "año nuevo", language="en")),
        train(row("d", "año nuevo") | {"category": None}),
        train(row("d", "año nuevo") | {"category": ""}),
        train(row("e", "año nuevo")),
        train(),
        rows_source(test=[row("d", "año nuevo")]).load(["es"]),
    ]
    assert len({fingerprint(splits) for splits in variants}) == len(variants)


def test_fingerprint_depends_on_the_sample_but_not_the_seed(marc):
    assert load(marc, seed=1).fingerprint == load(marc, seed=2).fingerprint
    assert load(marc, max_train_rows=5).fingerprint != load(marc).fingerprint


# Refused input


@pytest.mark.parametrize("languages", [["es", "en", "es"], []])
def test_languages_must_be_given_once(languages):
    line = error_line(rows_source(), languages=languages)
    assert line == f"languages={languages}: name at least one language, and each only once"


@pytest.mark.parametrize("name", ["empty", "sample"])
def test_filters_cannot_have_the_names_of_steps(name):
    line = error_line(rows_source(), {name: Deduplicate()}, ["es"])
    assert line.startswith(f"filter.{name}: ")


def test_filter_that_empties_a_split_is_refused(marc):
    filters = {"deduplicate": Deduplicate(), "long_titles": LongTitles(min_words=6)}
    assert error_line(marc_source(marc), filters=filters, languages=["es"]) == (
        "train: `long_titles` leaves none of the 4 es rows; loosen filter.long_titles or leave it out"
    )


def test_filter_that_drops_a_language_from_training_is_refused(marc):
    filters = {"long_titles": LongTitles(min_words=5)}
    assert error_line(marc_source(marc), filters=filters) == (
        "train: `long_titles` leaves none of the 2 ja rows; loosen filter.long_titles or leave it out"
    )


def test_evaluation_split_can_lose_a_language_but_not_all(marc):
    corpus = load(marc, {"long_titles": LongTitles(min_words=4)}, languages=["en", "es"])
    assert languages_of(corpus.splits["validation"]) == {"en": 1}
    assert corpus.report.splits["validation"]["es"].kept == 0
    line = error_line(marc_source(marc), filters={"long_titles": LongTitles(min_words=5)}, languages=["en", "es"])
    assert line.startswith("validation: `long_titles` leaves none of the 2 en and 2 es rows; ")


def test_split_with_only_blank_rows_is_refused(marc, edit_rows):
    edit_rows("dev", "es", lambda rows: [one.update(review_body="\t") for one in rows])
    line = error_line(marc_source(marc), languages=["es"])
    assert line.startswith("validation: all 2 es rows lack a document or a summary; ")


def test_sample_too_small_for_the_languages_is_refused(marc):
    # Of 7 and 4, one row: 0.64 and 0.36.
    line = error_line(marc_source(marc, max_train_rows=1), languages=["en", "es"])
    assert line == "train: `sample` leaves none of the 4 es rows; raise corpus.max_train_rows"


def test_unknown_category_is_reported_with_filter_and_split(marc):
    line = error_line(marc_source(marc), filters={"books": Books(categories=["libros"])})
    assert line.startswith("filter.books on train: no row has a category in ['libros']; ")
    assert "book (6), home (4)" in line


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (row("a", "otra"), "train: several rows have the id a; "),
        (row(None, "otra"), "train: 1 rows have no id; "),
    ],
)
def test_ids_are_unique_within_a_split(extra, expected):
    assert error_line(rows_source(train=[extra]), languages=["es"]).startswith(expected)
    load_corpus(rows_source(train=[row("c", "otra")]), {}, ["es"], 0)  # `c` is a row of test


def test_source_must_return_the_requested_languages():
    line = error_line(rows_source(), languages=["en", "es"])
    assert line.startswith("languages=['en', 'es']: the source's train rows are in ['es']; ")


def test_source_must_return_every_column():
    splits = {split: [{"id": "a", "document": "b", "language": "es"}] for split in SPLITS}
    source = Rows(splits=splits, max_train_rows=None, max_eval_rows=None, language_temperature=1)
    line = error_line(source, languages=["es"])
    assert (
        line == "train: the source returns no column summary; it must return id, document, summary, language, category"
    )
