"""Statistics of a corpus, compared with numbers counted by hand and by plain library calls."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bisum import compose
from bisum.batches.tokenization import encode
from bisum.corpus.corpus import load_corpus
from bisum.corpus.exploration import (
    count_categories,
    count_tokens,
    describe,
    filter_effects,
    find_repeats,
    sample_rows,
    word_lengths,
)
from bisum.corpus.filters import Books, Deduplicate, LongTitles
from bisum.corpus.fingerprints import SCHEMA
from bisum.corpus.sample import Sample
from bisum.models.hub import NotOnHub
from bisum.models.loading import load, load_reader


def table(*rows):
    """Rows from (id, document, summary, language, category)."""
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)


SPLITS = {
    "train": table(
        ("a", "one two three", "a b c", "en", "book"),
        ("b", "one two three ", "a b c", "en", "book"),
        ("c", "one two three", "d", "en", "home"),
        ("d", "uno dos", "a b c", "es", " "),
        ("e", "本 です", "本です 本", "ja", None),
    ),
    "validation": table(("f", " uno dos", "e f g", "es", "book"), ("g", "vier", "h i j", "en", "book")),
    "test": table(("h", "vier", "h i j", "en", "book"), ("i", "uno dos", "a b c", "es", "home")),
}
LANGUAGES = ["en", "es", "ja"]


def test_categories_are_ranked_by_mean_share_and_blank_names_are_none():
    counts = count_categories(SPLITS["train"], LANGUAGES)
    assert counts == {
        None: {"en": 0, "es": 1, "ja": 1},  # all of es and all of ja
        "book": {"en": 2, "es": 0, "ja": 0},  # two thirds of en
        "home": {"en": 1, "es": 0, "ja": 0},
    }
    assert list(counts) == [None, "book", "home"]


def test_repeats_are_counted_within_and_between_splits_with_example_ids():
    found = {(r.split, r.of, r.text): (r.rows, r.example) for r in find_repeats(SPLITS)}
    none = (0, None)
    assert found == {
        ("train", "train", "document"): (2, ("b", "a")),  # b and c repeat a
        ("train", "train", "summary"): (2, ("b", "a")),  # b and d
        ("train", "train", "pair"): (1, ("b", "a")),
        ("train", "validation", "document"): (1, ("d", "f")),
        ("train", "validation", "summary"): none,
        ("train", "validation", "pair"): none,
        ("train", "test", "document"): (1, ("d", "i")),
        ("train", "test", "summary"): (3, ("a", "i")),
        ("train", "test", "pair"): (1, ("d", "i")),
        ("validation", "validation", "document"): none,
        ("validation", "validation", "summary"): none,
        ("validation", "validation", "pair"): none,
        ("validation", "test", "document"): (2, ("f", "i")),
        ("validation", "test", "summary"): (1, ("g", "h")),
        ("validation", "test", "pair"): (1, ("g", "h")),
        ("test", "test", "document"): none,
        ("test", "test", "summary"): none,
        ("test", "test", "pair"): none,
    }


def test_deduplicate_drops_the_reported_repeats_and_leaks():
    effects = filter_effects(SPLITS, {"deduplicate": Deduplicate()}, LANGUAGES, 1, 0)
    dropped = {effect.split: effect.dropped for effect in effects}
    assert dropped["train"] == {"en": 1, "es": 1, "ja": 0}  # the pair within train; the document in validation
    assert dropped["validation"] == {"en": 1, "es": 1, "ja": 0}
    assert dropped["test"] == {"en": 0, "es": 0, "ja": 0}


def test_effect_of_a_filter_is_counted_in_order_and_alone():
    splits = dict.fromkeys(SPLITS, SPLITS["train"])
    filters = {"long_titles": LongTitles(min_words=3), "books": Books(categories=["book"])}
    first, second = filter_effects(splits, filters, LANGUAGES, 9, 0)[:2]
    assert (first.name, first.dropped) == ("long_titles", {"en": 1, "es": 0, "ja": 0})  # c has one word
    assert first.dropped == first.alone
    assert second.total == {"en": 3, "es": 1, "ja": 1}
    assert second.before == {"en": 2, "es": 1, "ja": 1}
    assert second.dropped == {"en": 0, "es": 1, "ja": 1}
    assert second.alone == {"en": 1, "es": 1, "ja": 1}
    (example,) = first.examples["en"]
    assert (example["id"], example["summary_words"], example["document_words"]) == ("c", 1, 3)
    assert [row["id"] for row in second.examples["ja"]] == ["e"]


def test_samples_depend_on_the_seed_not_the_order_of_rows():
    rows = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])["train"]

    def ids(rows, seed):
        return {
            language: [row["id"] for row in few] for language, few in sample_rows(rows, ["en", "es"], 3, seed).items()
        }

    assert ids(rows, 1) == ids(rows.take(list(reversed(range(rows.num_rows)))), 1) != ids(rows, 2)
    assert all(len(few) == 3 for few in ids(rows, 1).values())
    assert sample_rows(SPLITS["train"], LANGUAGES, 3, 0)["ja"][0]["id"] == "e"


def test_lengths_count_words_or_characters_in_unspaced_languages():
    lengths = word_lengths(SPLITS["train"], LANGUAGES)
    assert lengths["en"]["document"].tolist() == [3, 3, 3]
    assert lengths["en"]["summary"].tolist() == [3, 3, 1]
    assert lengths["ja"]["document"].tolist() == [3]
    assert lengths["ja"]["summary"].tolist() == [4]


def test_lengths_are_described_by_percentiles():
    assert describe(np.arange(101)) == {
        "rows": 101, "mean": 50, "min": 0, "p5": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "p99": 99, "max": 100
    }  # fmt: skip
    assert describe(np.array([], dtype=np.int64)) == {"rows": 0}


def test_tokens_match_the_tokenizer_and_are_cut_as_in_training(tmp_path):
    arguments = ["model=tiny", "model.max_document_tokens=64", "model.max_summary_tokens=12", "model.prefix='sum: '"]
    config = compose([*arguments, "corpus.max_train_rows=40", "corpus.max_eval_rows=10"])
    reader = load_reader(config.model)
    corpus = load_corpus(config.corpus, config.filter, config.languages, config.seed)
    rows, done = corpus.splits["train"], []
    tokens = count_tokens(rows, config.languages, reader, done.append)
    assert done == [40]
    for language in config.languages:
        own = [row for row in rows.to_pylist() if row["language"] == language]
        documents = [len(reader.tokenizer("sum: " + row["document"])["input_ids"]) for row in own]
        summaries = [len(reader.tokenizer(text_target=row["summary"])["input_ids"]) for row in own]
        assert tokens.lengths[language]["document"].tolist() == documents
        assert tokens.lengths[language]["summary"].tolist() == summaries
        assert tokens.cut[language]["document"].tolist() == [length > 64 for length in documents]
        assert not tokens.unknown[language]["document"].all()
    trained = encode(corpus, load(config.model, 1, "float32"), tmp_path, lambda *_: NoBar())["train"]
    assert trained.documents_cut == sum(int(cut["document"].sum()) for cut in tokens.cut.values()) > 0
    assert trained.summaries_cut == sum(int(cut["summary"].sum()) for cut in tokens.cut.values()) > 0


def test_text_unknown_to_the_tokenizer_is_counted():
    tokens = count_tokens(SPLITS["train"], LANGUAGES, load_reader(compose(["model=tiny"]).model), lambda _: None)
    assert tokens.unknown["ja"]["document"].tolist() == [True]
    assert tokens.unknown["es"]["document"].tolist() == [False]


def test_reader_matches_the_loaded_model_and_a_missing_one_is_distinguished(monkeypatch):
    options = compose(["model=tiny", "model.prefix=x"]).model
    reader, loaded = load_reader(options), load(options, 1, "float32")
    for name in ("family", "prefix", "max_document_tokens", "max_summary_tokens"):
        assert getattr(reader, name) == getattr(loaded, name)
    assert reader.tokenizer.get_vocab() == loaded.tokenizer.get_vocab()
    with pytest.raises(NotOnHub):
        load_reader(compose(["model=mt5_small"]).model)


def test_explore_imports_without_torch():
    check = (
        "import sys, bisum.commands.explore; sys.exit(bool({'torch', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], cwd=Path(__file__).parents[2]).returncode == 0


class NoBar:
    """An invisible progress bar."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def advance(self, done):
        pass
