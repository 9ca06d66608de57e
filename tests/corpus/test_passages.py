"""Passages of another corpus's documents, compared with passages cut by hand."""

import json
import re
from collections import Counter

import pyarrow as pa
import pytest

from bisum import compose
from bisum.corpus.corpus import load_corpus
from bisum.corpus.passages import Passages
from bisum.errors import UserError
from bisum.interfaces.source import SPLITS

DOCUMENTS = [
    ("a", "en", "one two three\n four  five six seven"),
    ("b", "en", "eight nine"),
    ("c", "en", ""),
    ("d", "en", "ten eleven twelve thirteen"),
    ("e", "es", "el año pasado\u00a0fue bueno"),
]
"""Id, language, document. The no-break space separates words like any white space."""

PASSAGES = [
    ("a:0", "en", "one two"),
    ("a:1", "en", "three four five"),
    ("a:2", "en", "six seven"),
    # three words come next, but b has only two and becomes a single passage
    ("b:0", "en", "eight nine"),
    # two words, then three, but d has only two left
    ("d:0", "en", "ten eleven"),
    ("e:0", "es", "el año pasado"),
    ("e:1", "es", "fue bueno"),
]
"""The same texts cut by hand into passages of two and three words in turn."""


@pytest.fixture
def arguments(tmp_path):
    """Arguments that compose passages of two and three words of `DOCUMENTS`, the same in each split."""
    rows = [
        {"id": id_, "document": text, "summary": "A title.", "language": language, "category": f"kind of {id_}"}
        for id_, language, text in DOCUMENTS
    ]
    paths = {split: tmp_path / f"{split}.jsonl" for split in SPLITS}
    for path in paths.values():
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = ["corpus@corpus.of=files", *(f"corpus.of.{split}={path}" for split, path in paths.items())]
    return ["corpus=passages", *files, "corpus.min_words=2", "corpus.max_words=3", "filter=[]"]


def shown(rows):
    return [(row["id"], row["language"], row["document"]) for row in rows.to_pylist()]


def test_passages_match_those_cut_by_hand_and_are_their_own_summaries(arguments):
    splits = compose(arguments).corpus.load(["en", "es"])
    assert tuple(splits) == SPLITS
    for rows in splits.values():
        assert rows.column_names == ["id", "document", "summary", "language", "category"]
        assert shown(rows) == PASSAGES
        assert rows["summary"] == rows["document"]
        assert rows["category"].to_pylist() == [f"kind of {id_[0]}" for id_, _, _ in PASSAGES]


def test_only_the_requested_languages_are_loaded(arguments):
    # the lengths start over: two words, three words
    passages = [("e:0", "es", "el año"), ("e:1", "es", "pasado fue bueno")]
    assert shown(compose(arguments).corpus.load(["es"])["train"]) == passages


def test_all_passages_can_have_one_length(arguments):
    rows = compose([*arguments, "corpus.min_words=3"]).corpus.load(["en"])["test"]
    assert [row[2] for row in shown(rows)] == ["one two three", "four five six", "ten eleven twelve"]


def test_row_settings_count_passages(arguments):
    own = ["corpus.max_train_rows=4", "corpus.max_eval_rows=3", "corpus.language_temperature=5"]
    config = compose([*arguments, *own])
    assert config.corpus.language_temperature == 5
    corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    languages = {"train": ["en"] * 3 + ["es"], "validation": ["en"] * 2 + ["es"], "test": ["en"] * 2 + ["es"]}
    for split, rows in corpus.splits.items():
        assert set(shown(rows)) < set(PASSAGES)
        assert sorted(rows["language"].to_pylist()) == languages[split]  # of four and two passages


@pytest.mark.parametrize("setting", ["max_train_rows=1", "max_eval_rows=1", "language_temperature=2"])
def test_row_settings_of_the_other_corpus_are_refused(arguments, setting):
    name = setting.partition("=")[0]
    with pytest.raises(
        UserError, match=rf"^corpus\.of\.{name}: has no effect; set corpus\.{name}, which counts passages$"
    ):
        compose([*arguments, f"corpus.of.{setting}"])


def test_languages_without_spaces_are_cut_by_characters():
    class Japanese:
        max_train_rows = max_eval_rows = None
        language_temperature = 1

        def load(self, languages):
            row = {"id": "j", "document": "面白い 本です。", "summary": "本", "language": "ja", "category": None}
            return {"train": pa.Table.from_pylist([row])}

    limits = {"max_train_rows": None, "max_eval_rows": None, "language_temperature": 1}
    rows = Passages(of=Japanese(), min_words=3, max_words=4, **limits).load(["ja"])["train"]
    assert rows["document"].to_pylist() == rows["summary"].to_pylist() == ["面白い", "本です。"]


def test_default_corpus_is_the_sample():
    rows = compose(["corpus=passages"]).corpus.load(["en", "es"])["test"]
    lengths = [len(text.split()) for text in rows["document"].to_pylist()]
    assert lengths[:3] == [4, 5, 6]
    assert set(lengths) == set(range(4, 17))
    assert len(set(rows["id"].to_pylist())) == len(rows)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["corpus.min_words=4"], "corpus.min_words: 4 is above max_words, 3"),
        (["corpus.min_words=0"], "corpus.min_words: expected a whole number >= 1, not 0"),
        (["corpus.of.pth=x"], "corpus.of.pth: no such key, did you mean 'path'?"),
        (["corpus.of=null"], "corpus.of: expected a mapping with _target_, not null"),
        (["corpus@corpus.of=nope"], "corpus=nope: no such option"),
    ],
)
def test_mistakes_are_reported_by_key(overrides, message, arguments):
    with pytest.raises(UserError, match=f"^{re.escape(message)}") as raised:
        compose([*arguments, *overrides])
    assert len(str(raised.value).splitlines()) == 1


def test_language_missing_from_the_other_corpus_is_reported():
    with pytest.raises(UserError, match=r"^languages: the sample corpus has no 'fr'; it has en, es$"):
        compose(["corpus=passages"]).corpus.load(["en", "fr"])


def test_passages_cycle_through_the_lengths(arguments, tmp_path):
    rows = [{"id": str(n), "document": "w " * 60, "summary": "A title.", "language": "en"} for n in range(30)]
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = ["corpus.min_words=4", "corpus.max_words=16"]
    rows = compose([*arguments, *own]).corpus.load(["en"])["train"]["document"].to_pylist()
    counts = Counter(len(text.split()) for text in rows)
    assert set(counts) == set(range(4, 17))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_held_out_split_can_lack_a_language(arguments, tmp_path):
    row = {"id": "f", "document": "Nada", "summary": "A title.", "language": "es"}
    kept = [line for line in (tmp_path / "test.jsonl").read_text().splitlines() if '"es"' not in line]
    (tmp_path / "test.jsonl").write_text("\n".join([*kept, json.dumps(row)]))
    assert compose(arguments).corpus.load(["en", "es"])["test"]["language"].unique().to_pylist() == ["en"]


def test_file_named_like_a_key_is_reported_unchanged(arguments):
    with pytest.raises(UserError, match=r"^corpus\.of\.train: file corpus\.path\.csv does not exist"):
        compose([*arguments, "corpus.of.train=corpus.path.csv"]).corpus.load(["en", "es"])


def test_documents_that_are_all_too_short_are_reported(arguments):
    with pytest.raises(UserError) as raised:
        compose([*arguments, "corpus.min_words=6", "corpus.max_words=9"]).corpus.load(["en", "es"])
    assert str(raised.value) == (
        "corpus.min_words: 6 exceeds the longest document of train in 'es', which has 5; lower it"
    )


def test_unreachable_lengths_leave_the_other_passages(arguments):
    rows = compose([*arguments, "corpus.max_words=1000"]).corpus.load(["en", "es"])["train"]
    assert [row[0] for row in shown(rows)] == ["a:0", "a:1", "b:0", "d:0", "e:0"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("corpus.of.train=nope.csv", "corpus.of.train: file nope.csv does not exist"),
        ("corpus.of.columns.document=nope", "corpus.of.columns.document: "),
    ],
)
def test_keys_of_the_other_corpus_are_reported_as_written(overrides, message, arguments):
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        compose(["corpus=passages", "corpus@corpus.of=files", *arguments[2:5], overrides]).corpus.load(["en", "es"])
