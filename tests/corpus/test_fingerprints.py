"""Fingerprints follow their description; tests/corpus/test_corpus.py compares those of whole corpora."""

import hashlib

import numpy as np
import pyarrow as pa

from bisum.corpus.fingerprints import SCHEMA, fingerprint, scored_rows_fingerprint
from bisum.interfaces.source import COLUMNS, SPLITS


def test_fingerprint_hashes_the_rows_in_the_order_of_their_ids():
    rows = [
        {"id": name, "document": f"d{name}ñ", "summary": "s", "language": "en", "category": category}
        for name, category in (("b", None), ("c", "x"), ("a", ""))
    ]
    table = pa.concat_tables([pa.Table.from_pylist(rows[:1]).cast(SCHEMA), pa.Table.from_pylist(rows[1:]).cast(SCHEMA)])
    digest = hashlib.sha256(b"train 3\n")
    for column in COLUMNS:
        values = [row[column] for row in sorted(rows, key=lambda row: row["id"])]
        lengths = [-1 if value is None else len(value.encode()) for value in values]
        digest.update(np.array(lengths, "<i8").tobytes() + "".join(filter(None, values)).encode())
    assert fingerprint({SPLITS[0]: table}) == digest.hexdigest()


def test_fingerprint_of_scored_rows_ignores_what_no_score_depends_on():
    rows = pa.table({name: [f"{name} {row}" for row in range(3)] for name in COLUMNS}, SCHEMA)
    known = scored_rows_fingerprint(rows)
    for name in COLUMNS:
        changed = rows.set_column(rows.column_names.index(name), name, pa.array(["x", *rows[name].to_pylist()[1:]]))
        assert (scored_rows_fingerprint(changed) == known) == (name in ("language", "category"))
    assert scored_rows_fingerprint(rows.take([2, 0, 1])) == known
