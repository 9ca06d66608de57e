import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import bisum
from bisum.assets.sample.make import main
from bisum.corpus.sample import Sample
from bisum.interfaces.source import COLUMNS, SPLITS

FOLDER = Path(bisum.__file__).parent / "assets" / "sample"
LANGUAGES = ["en", "es"]


@pytest.fixture(scope="module")
def splits():
    return Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(LANGUAGES)


def test_rows_are_complete(splits):
    for rows in splits.values():
        assert tuple(rows.column_names) == COLUMNS
        assert all(text.strip() for column in rows.columns for text in column.to_pylist())
        assert len(set(rows["id"].to_pylist())) == rows.num_rows


def test_splits_share_no_document(splits):
    documents = [{text.strip() for text in rows["document"].to_pylist()} for rows in splits.values()]
    assert sum(map(len, documents)) == len(set.union(*documents)) == sum(rows.num_rows for rows in splits.values())


def test_splits_share_no_package(splits):
    packages = [
        {re.fullmatch(r"e[ns]_(.+)_\w{8}", name)[1] for name in rows["id"].to_pylist()} for rows in splits.values()
    ]
    assert sum(map(len, packages)) == len(set.union(*packages))


def test_data_card_states_the_row_counts(splits):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    stated = {name: [int(en), int(es)] for name, en, es in re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \|$", card, re.M)}
    counted = {split: Counter(rows["language"].to_pylist()) for split, rows in splits.items()}
    assert stated == {split: [counted[split][language] for language in LANGUAGES] for split in SPLITS}


def test_sample_is_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.parquet")) < 1_500_000


def test_sample_has_all_spanish_rows_and_equally_many_english_ones(marc, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        main(str(marc), tmp_path / name)
    assert "train.parquet: 4 rows in each language" in capsys.readouterr().out
    made = {split: pq.read_table(tmp_path / "one" / f"{split}.parquet") for split in SPLITS}
    assert [Counter(rows["language"].to_pylist()) for rows in made.values()] == [
        {"en": 4, "es": 4},
        {"en": 2, "es": 2},
        {"en": 2, "es": 2},
    ]
    train = made["train"]["id"].to_pylist()
    assert len(set(train)) == 8
    assert train[4:] == ["es_train_1", "es_train_2", "es_train_3", "es_train_4"]
    for split in SPLITS:
        assert (tmp_path / "one" / f"{split}.parquet").read_bytes() == (
            tmp_path / "two" / f"{split}.parquet"
        ).read_bytes()
