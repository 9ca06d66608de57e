"""Token ids, compared with the tokenizer's own, and the cache that runs share."""

import importlib
import os
import sys
import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pyarrow as pa
import pytest
from own_families import Instructed

from bisum import compose
from bisum.batches.collation import Collator
from bisum.batches.tokenization import encode
from bisum.corpus.corpus import Corpus, load_corpus
from bisum.errors import UserError
from bisum.models.families import T5
from bisum.models.loading import load


@pytest.fixture(scope="module")
def config():
    sizes = ["model.architecture.d_model=32", "model.architecture.num_heads=2", "model.architecture.num_layers=1"]
    return compose(["model=tiny", *sizes, "corpus.max_train_rows=300", "corpus.max_eval_rows=20"])


@pytest.fixture(scope="module")
def loaded(config):
    return load(config.model, 42, "float32")


@pytest.fixture(scope="module")
def corpus(config):
    return load_corpus(config.corpus, config.filter, config.languages, config.seed)


def progress(title, total):
    return nullcontext(SimpleNamespace(advance=lambda done: None))


def ids(split):
    return [(split[row]["input_ids"].tolist(), split[row]["labels"].tolist()) for row in range(len(split))]


@pytest.mark.parametrize(("limits", "prefix"), [((512, 30), ""), ((64, 12), ""), ((40, 8), "summarize: ")])
def test_ids_match_the_tokenizers(limits, prefix, corpus, loaded, tmp_path):
    document_tokens, summary_tokens = limits
    loaded = replace(loaded, max_document_tokens=document_tokens, max_summary_tokens=summary_tokens, prefix=prefix)
    splits = encode(corpus, loaded, tmp_path, progress)
    for name, rows in corpus.splits.items():
        documents = [prefix + text for text in rows["document"].to_pylist()]
        summaries = rows["summary"].to_pylist()
        inputs = loaded.tokenizer(documents, truncation=True, max_length=document_tokens)["input_ids"]
        labels = loaded.tokenizer(text_target=summaries, truncation=True, max_length=summary_tokens)["input_ids"]
        assert ids(splits[name]) == list(zip(inputs, labels, strict=True))
        full = [len(row) for row in loaded.tokenizer(documents)["input_ids"]]
        assert splits[name].documents_cut == sum(length > document_tokens for length in full)
        full = [len(row) for row in loaded.tokenizer(text_target=summaries)["input_ids"]]
        assert splits[name].summaries_cut == sum(length > summary_tokens for length in full)
        assert splits[name].rows.equals(rows)
    assert splits["train"].documents_cut > 0 or limits == (512, 30)


def files(folder):
    return {path.name: path.stat().st_ino for path in folder.iterdir() if path.is_file()}


def test_same_rows_are_tokenized_once(corpus, config, loaded, tmp_path):
    first = encode(corpus, loaded, tmp_path, progress)
    before = files(tmp_path)
    assert len(before) == 3
    again = encode(load_corpus(config.corpus, config.filter, config.languages, config.seed), loaded, tmp_path, progress)
    assert files(tmp_path) == before
    assert {name: ids(split) for name, split in again.items()} == {name: ids(split) for name, split in first.items()}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"filter": {}},
        {"languages": ["es", "en"], "seed": 9},
        {"max_document_tokens": 100},
        {"max_summary_tokens": 9},
        {"prefix": "summarize: "},
        {"tokenizer": "another"},
    ],
    ids=str,
)
def test_settings_that_change_the_ids_bypass_the_cache(change, corpus, config, loaded, tmp_path):
    encode(corpus, loaded, tmp_path / "cache", progress)
    values = {"filter": config.filter, "languages": config.languages, "seed": config.seed} | change
    other = load_corpus(config.corpus, values["filter"], values["languages"], values["seed"])
    model = {name: value for name, value in change.items() if name.startswith(("max_", "prefix"))}
    if "tokenizer" in change:
        vocabulary = ["<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
        model["tokenizer"] = another_tokenizer(vocabulary)
    changed = replace(loaded, **model)
    got = encode(other, changed, tmp_path / "cache", progress)
    fresh = encode(other, changed, tmp_path / "fresh", progress)
    assert len(files(tmp_path / "cache")) >= 4
    for name in other.splits:
        assert ids(got[name]) == ids(fresh[name])
        assert got[name].rows.equals(other.splits[name])


@dataclass(frozen=True, kw_only=True)
class Marked(T5):
    """Prepends a word to every non-empty document; an empty one does not reveal it."""

    word: str

    def encode(self, reader, documents, summaries, languages):
        marked = [f"{self.word} {text}" if text else "" for text in documents]
        return super().encode(reader, marked, summaries, languages)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"family": Marked(word="short")}, {"family": Marked(word="long")}),
        ({"family": Marked(word="short")}, {"family": T5()}),
        ({"prefix": "summarize:"}, {"prefix": "summarize: "}),
    ],
    ids=str,
)
def test_settings_that_an_empty_document_hides_bypass_the_cache(one, other, corpus, loaded, tmp_path):
    one, other = replace(loaded, **one), replace(loaded, **other)
    assert one.encode([""], [""], ["en"]) == other.encode([""], [""], ["en"])
    first = encode(corpus, one, tmp_path / "cache", progress, ["test"])
    second = encode(corpus, other, tmp_path / "cache", progress, ["test"])
    assert ids(second["test"]) == ids(encode(corpus, other, tmp_path / "fresh", progress, ["test"])["test"])
    assert ids(second["test"]) != ids(first["test"])


MARKING = """
from bisum.models.families import T5

class Marking(T5):
    def encode(self, reader, documents, summaries, languages):
        return super().encode(reader, [text and f"WORD {text}" for text in documents], summaries, languages)
"""
DERIVED = """
from marking import Marking

class Derived(Marking):
    pass
"""


@pytest.mark.parametrize("where", ["marking", "derived", "profile", "notebook"])
def test_changed_code_of_an_own_family_bypasses_the_cache(where, corpus, loaded, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "profile", raising=False)
    (tmp_path / "derived.py").write_text(DERIVED)
    results = []
    for word in ("short", "longer"):
        source = MARKING.replace("WORD", word)
        if where == "notebook":
            namespace = {"__name__": "notebook"}
            exec(source, namespace)
            family = namespace["Marking"]
        else:
            # A file can have the name of a module of the standard library.
            (tmp_path / ("profile.py" if where == "profile" else "marking.py")).write_text(source)
            importlib.invalidate_caches()
            family = getattr(importlib.import_module(where), "Derived" if where == "derived" else "Marking")
        results.append(
            ids(encode(corpus, replace(loaded, family=family()), tmp_path / "cache", progress, ["test"])["test"])
        )
        for name in ("marking", "derived", "profile"):
            sys.modules.pop(name, None)
    assert results[0] != results[1]
    assert len(files(tmp_path / "cache")) == (0 if where == "notebook" else 2)


def test_error_of_an_own_family_is_reported_in_one_line(corpus, loaded, tmp_path):
    instructed = replace(loaded, family=Instructed(instructions={"en": "Summarize:", "pt": "Resuma:"}))
    with pytest.raises(UserError, match=r"^model\.family: Instructed fails on texts in .*es: KeyError: 'es'$"):
        encode(corpus, instructed, tmp_path, progress)


def another_tokenizer(vocabulary):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    backend.pre_tokenizer = Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def test_splits_can_have_rows_with_the_same_ids(loaded, tmp_path):
    """Ids must be unique only within a split."""

    def table(document, summary):
        row = {"id": "1", "document": document, "summary": summary, "language": "en", "category": None}
        return pa.Table.from_pylist([row], schema=pa.schema([(name, pa.string()) for name in row]))

    splits = {
        "train": table("A text editor.", "editor"),
        "validation": table("A mail reader with filters.", "mail"),
        "test": table("A game of chess.", "chess"),
    }
    got = encode(Corpus(splits=splits, fingerprint="f", report=None), loaded, tmp_path, progress)
    for name, rows in splits.items():
        (document,) = rows["document"].to_pylist()
        assert ids(got[name])[0][0] == loaded.tokenizer(document)["input_ids"]


def test_concurrent_tokenizations_agree(corpus, loaded, tmp_path):
    results, errors = [], []

    def work():
        try:
            results.append({name: ids(split) for name, split in encode(corpus, loaded, tmp_path, progress).items()})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert results[0] == results[1]
    assert len(files(tmp_path)) == 3


def test_truncated_cache_file_is_replaced(corpus, loaded, tmp_path):
    """A full disk or a copy of the cache folder can leave such a file."""
    expected = ids(encode(corpus, loaded, tmp_path, progress)["train"])
    for path in tmp_path.iterdir():
        os.truncate(path, path.stat().st_size // 2)
    assert ids(encode(corpus, loaded, tmp_path, progress)["train"]) == expected


def test_collated_batches_are_padded(corpus, loaded, tmp_path):
    split = encode(corpus, loaded, tmp_path, progress)["validation"]
    batch = Collator(loaded)([split[row] for row in range(6)])
    documents = [split[row]["input_ids"].tolist() for row in range(6)]
    labels = [split[row]["labels"].tolist() for row in range(6)]
    theirs = loaded.tokenizer.pad({"input_ids": documents}, return_tensors="pt")
    assert batch["input_ids"].tolist() == theirs["input_ids"].tolist()
    assert batch["attention_mask"].tolist() == theirs["attention_mask"].tolist()
    width = max(map(len, labels))
    assert batch["labels"].tolist() == [row + [-100] * (width - len(row)) for row in labels]
    # The decoder starts with padding (T5) and reads each label one step late; -100 is not a token.
    assert batch["decoder_input_ids"].tolist() == [([0, *row] + [0] * width)[:width] for row in labels]


def test_altered_cache_file_is_replaced(corpus, loaded, tmp_path, caplog):
    expected = ids(encode(corpus, loaded, tmp_path, progress)["train"])
    for path in tmp_path.iterdir():
        data = bytearray(path.read_bytes())
        data[len(data) // 2 : len(data) // 2 + 2] = b"\x07\x07"
        path.write_bytes(data)
    before = set(files(tmp_path))
    assert ids(encode(corpus, loaded, tmp_path, progress)["train"]) == expected
    assert len(caplog.messages) == 3
    assert set(files(tmp_path)) == before
