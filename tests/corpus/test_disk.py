"""Large tables are on disk, and reading, filtering and ordering them in small pieces changes no row."""

import csv
import io
import json
import logging
import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bisum import compose
from bisum.corpus import disk
from bisum.corpus.corpus import load_corpus
from bisum.corpus.formats import csv_format, json_format, readers
from bisum.errors import UserError

ROWS = [
    {
        "id": n,
        "language": "es" if n % 3 else "en",
        "text": f"Línea {n % 40}\r\n«{'x' * (n % 23)}»" if n % 9 else "",
        "title": "a, \"b\"" if n % 7 == 1 else f"título {n % 5} de tres palabras",
    }
    for n in range(200)
]  # fmt: skip


def as_csv(rows) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json_lines(rows) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_parquet(rows) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


WRITTEN = {
    "csv": as_csv(ROWS),
    "jsonl": as_json_lines(ROWS),
    "json": json.dumps(ROWS).encode(),
    "parquet": as_parquet(ROWS),
}


@pytest.fixture
def tiny_pieces(monkeypatch):
    """Pieces of a few rows, and tables on disk from a few bytes."""
    monkeypatch.setattr(disk, "BATCH_ROWS", 7)
    monkeypatch.setattr(disk, "_MEMORY_BYTES", 100)
    for module in (csv_format, json_format, readers):
        monkeypatch.setattr(module, "READ_ROWS", 3)


def load(path, cache=None, *settings):
    config = compose(["corpus=files", f"corpus.path={path}", "filter=[deduplicate,long_titles]", *settings])
    return load_corpus(config.corpus, config.filter, ["en", "es"], config.seed, cache=cache)


@pytest.mark.parametrize("extension", WRITTEN)
def test_corpus_does_not_depend_on_the_pieces(extension, tmp_path, request, caplog):
    path = tmp_path / f"rows.{extension}"
    path.write_bytes(WRITTEN[extension])
    with caplog.at_level(logging.INFO, "bisum"):
        whole = load(path, None, "corpus.max_train_rows=20")
        logged = caplog.messages.copy()
        caplog.clear()
        request.getfixturevalue("tiny_pieces")
        in_pieces = load(path, tmp_path / "cache", "corpus.max_train_rows=20")
    assert in_pieces == whole
    assert len(in_pieces.splits["train"]) == 20
    assert caplog.messages == logged
    assert list((tmp_path / "cache").iterdir()) == []  # files without a name


def test_types_of_json_values_do_not_depend_on_the_pieces(tiny_pieces, tmp_path):
    ids = [*range(100), *map(str, range(100, 199)), None]
    rows = [{**row, "id": id_} for row, id_ in zip(ROWS, ids, strict=True)]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_json_lines(rows[:-1]))
    kept = {id_ for rows in load(path).splits.values() for id_ in rows["id"].to_pylist()}
    assert "7" in kept
    assert "101" in kept
    path.write_bytes(as_json_lines(rows))
    with pytest.raises(UserError, match=r"row 200: missing id; set it on every row or on none"):
        load(path)


@pytest.mark.parametrize(
    ("row", "value", "problem"),
    [
        (150, ["a", "b"], r"text is \[.*; must be text, or a list in both documents and summaries, as in row 1"),
        (150, 5, "text is 5; must be text, as in row 1"),
    ],
)
def test_a_misfit_in_a_later_piece_is_named(row, value, problem, tiny_pieces, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_json_lines([{**old, "text": value} if n == row else old for n, old in enumerate(ROWS)]))
    with pytest.raises(UserError, match=f"row {row + 1}: {problem}"):
        load(path)


def test_filter_and_order_keep_the_rows(tiny_pieces):
    table = pa.concat_tables([pa.Table.from_pylist(ROWS[at : at + 13]) for at in range(0, 200, 13)])
    mask = np.random.default_rng(0).random(200) < 0.3
    assert disk.filtered(table, mask).to_pylist() == [row for row, kept in zip(ROWS, mask, strict=True) if kept]
    nullable = pa.array([bool(kept) or None for kept in mask])
    assert disk.filtered(table, nullable).to_pylist() == disk.filtered(table, mask).to_pylist()
    with pytest.raises(pa.ArrowInvalid, match="199 values"):
        disk.filtered(table, mask[1:])
    order = np.random.default_rng(1).integers(0, 200, 500)
    assert disk.take(table, order).to_pylist() == [ROWS[at] for at in order]
    assert disk.take(table, []).schema == table.schema
    assert disk.take(table, range(200)) is table


def test_memory_does_not_grow_with_the_rows():
    before, most = pa.total_allocated_bytes(), 0

    def rows(count):
        nonlocal most
        for at in range(count):
            yield pa.record_batch({"text": [f"{at} {'x' * 1000}"] * 1000})
            most = max(most, pa.total_allocated_bytes() - before)

    table = disk.stored(rows(200), pa.schema({"text": pa.string()}))  # 200 MB
    assert 60 * 2**20 < most < 130 * 2**20  # the rows that could still be a small table, and a batch
    assert pa.total_allocated_bytes() - before < 10 * 2**20
    order = np.random.default_rng(0).permutation(len(table))
    taken = disk.take(table, order)
    assert pa.total_allocated_bytes() - before < 20 * 2**20
    assert taken["text"][5].as_py() == table["text"][order[5]].as_py()


def test_an_error_of_the_rows_source_is_not_one_of_the_folder(tiny_pieces):
    def rows():
        yield from pa.Table.from_pylist(ROWS).to_batches(max_chunksize=50)
        raise OSError("the rows' own disk")

    with pytest.raises(OSError, match="the rows' own disk"):
        disk.stored(rows(), pa.Table.from_pylist(ROWS).schema)


def test_folder_that_cannot_be_written_is_named(tiny_pieces, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(WRITTEN["csv"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # fails as on a full disk
    try:
        with pytest.raises(
            UserError, match=rf"cache_dir: rows cannot be written to '{tmp_path}/cache': File too large"
        ):
            load(path, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache").iterdir()) == []
