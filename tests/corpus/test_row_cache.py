"""The rows of a large corpus are read once, until a file or a setting changes."""

import gc
import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from bisum import compose
from bisum.corpus import disk, row_cache
from bisum.corpus.corpus import load_corpus
from bisum.corpus.files import Files
from bisum.errors import UserError


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    monkeypatch.setattr(row_cache, "SMALLEST_BYTES", 0)


def write(path, count=60, word="palabra"):
    rows = [
        {"lang": ("en", "es")[n % 2], "text": f"Document {n}.", "title": f"three {word}s {n}", "other": n}
        for n in range(count)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    settle(path)


def settle(path, seconds=10):
    """Set the modification time to that of a file that was written some seconds ago."""
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.jsonl"
    write(path)
    return path


@pytest.fixture
def reads(monkeypatch):
    """A list that grows whenever the files are read."""
    found, load = [], Files.load

    def counted(source, languages):
        found.append(languages)
        return load(source, languages)

    monkeypatch.setattr(Files, "load", counted)
    return found


def load(path, *settings, seed=1, needed=("train", "validation", "test"), languages=("en", "es")):
    config = compose(["corpus=files", f"corpus.path={path}", *settings])
    cache = path.parent / "cache"
    return load_corpus(config.corpus, config.filter, list(languages), seed, needed, cache)


def test_second_run_reads_the_cache_and_reports_the_same(path, reads, caplog):
    with caplog.at_level(logging.INFO, "bisum"):
        first = load(path)
        logged = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
        caplog.clear()
        again = load(path, seed=2)
    assert again == first
    assert len(reads) == 1
    *notes, cached = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
    assert notes == logged
    assert cached[2] == "the rows come from cache_dir, where an earlier command stored them"
    assert any("guessed" in message for _, _, message in logged)
    assert len(list((path.parent / "cache").iterdir())) == 1


CHANGES = {
    "contents": lambda path: write(path, word="título"),
    "rows": lambda path: write(path, count=50),
    "modification time": lambda path: settle(path, seconds=100),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_file_is_read_again(change, path, reads):
    load(path)
    change(path)
    changed = load(path)
    assert len(reads) == 2
    assert changed == load_corpus(
        compose(["corpus=files", f"corpus.path={path}"]).corpus, compose().filter, ["en", "es"], 1
    )


def test_a_contents_change_that_keeps_size_and_modification_time_is_noticed(path, reads):
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    load(path)
    path.write_text(path.read_text("utf-8").replace("three", "seven"), "utf-8")
    os.utime(path, ns=times)
    assert "seven" in load(path).splits["train"]["summary"][0].as_py()
    assert len(reads) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"settings": ["filter.long_titles.min_words=1"]},
        {"settings": ["filter=[]"]},
        {"settings": ["corpus.columns.document=title"]},
        {"settings": ["corpus.max_eval_rows=2"]},
        {"languages": ["es", "en"]},
        {"settings": ["corpus.columns.language=null", "corpus.language=en"], "languages": ["en"]},
    ],
    ids=str,
)
def test_each_setting_has_its_own_rows(settings, path, reads):
    load(path)
    given = settings.get("settings", [])
    load(path, *given, languages=settings.get("languages", ["en", "es"]))
    assert len(reads) == 2


def test_only_a_sample_depends_on_the_seed(path, reads):
    sampled = [load(path, "corpus.max_train_rows=9", seed=seed).splits["train"] for seed in (1, 2, 1)]
    assert len(reads) == 2
    assert sampled[0] == sampled[2] != sampled[1]


def test_files_that_can_still_change_are_not_cached(path, reads):
    settle(path, seconds=-3600)  # as recent on a slow machine too
    load(path)
    load(path)
    assert len(reads) == 2
    assert list((path.parent / "cache").iterdir()) == []


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A user's own filter."""

    def keep(self, rows, held_out):
        import pyarrow as pa

        return pa.repeat(True, rows.num_rows)


def test_rows_of_a_users_own_filter_are_not_cached(path, reads):
    config = compose(["corpus=files", f"corpus.path={path}"])
    for _ in range(2):
        load_corpus(config.corpus, {"odd": Odd()}, ["en", "es"], 1, cache=path.parent / "cache")
    assert len(reads) == 2


OWN_SOURCE = """
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from bisum.corpus.files import Files

@dataclass(frozen=True, kw_only=True)
class Parent(Files):
    def {method}(self, {argument}):
        found = super().{method}({argument})
        print("called")
        return found

class Mine(Parent):
    {body}
"""


def own_source(path, method="load", argument="languages", body="pass"):
    """Return a source of a user's own class that prints a line whenever it reads the files."""
    namespace = {"__name__": "own"}
    sys.modules["own"] = module = ModuleType("own")
    try:
        exec(OWN_SOURCE.format(method=method, argument=argument, body=body), namespace)
        vars(module).update(namespace)
    finally:
        del sys.modules["own"]
    return namespace["Mine"](path=str(path), columns=compose(["corpus=files", f"corpus.path={path}"]).corpus.columns)


IDENTITY = "def identity(self, languages): return [1, super().identity(languages)]"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, 2),
        ({"method": "parts", "argument": "language"}, 2),
        ({"body": IDENTITY}, 1),
        ({"body": "__repr__ = object.__repr__; identity = Files.identity"}, 2),
    ],
    ids=["inherited identity", "inherited load", "own identity", "repr with an address"],
)
def test_rows_of_a_users_own_source_are_cached_if_it_identifies_them(own, expected, path, capsys):
    first, again = (
        load_corpus(own_source(path, **own), {}, ["en", "es"], 1, cache=path.parent / "cache") for _ in range(2)
    )
    assert again == first
    assert capsys.readouterr().out.count("called") == expected
    assert len(list((path.parent / "cache").glob("*"))) == (expected == 1)


class TrainOnly(Files):
    """Rows of train, cached as those of `Files`."""

    identity = Files.identity

    def load(self, languages):
        return {"train": super().load(languages)["train"]}


def test_a_missing_split_is_refused_as_without_the_cache(path):
    config = compose(["corpus=files", f"corpus.path={path}"]).corpus
    source = TrainOnly(path=str(path), columns=config.columns)
    cache = path.parent / "cache"
    load_corpus(source, {}, ["en", "es"], 1, ("train",), cache)
    assert len(list(cache.iterdir())) == 1
    messages = []
    for folder in (None, cache):
        with pytest.raises(UserError, match="no rows for validation") as error:
            load_corpus(source, {}, ["en", "es"], 1, cache=folder)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_damaged_cache_is_reported_and_replaced(path, reads, caplog):
    first = load(path)
    (file,) = (path.parent / "cache").iterdir()
    contents = bytearray(file.read_bytes())
    contents[-100] ^= 1
    file.unlink()  # `first` is mapped from it
    file.write_bytes(contents)
    assert load(path) == first
    assert "is damaged" in caplog.text
    assert load(path) == first
    assert len(reads) == 2


def test_a_cache_that_cannot_be_written_is_only_reported(path, monkeypatch, caplog):
    def full(*_):
        raise UserError("cache_dir: 'cache' cannot be written: No space left on device")

    expected = load(path)
    monkeypatch.setattr(row_cache.ArrowCache, "read", lambda *_: None)
    monkeypatch.setattr(row_cache.ArrowCache, "write", full)
    assert load(path).splits == expected.splits
    assert "No space left on device; the next run reads the corpus again" in caplog.text


def test_small_corpus_is_not_cached(path, reads, monkeypatch):
    monkeypatch.setattr(row_cache, "SMALLEST_BYTES", 10**6)
    load(path)
    load(path)
    assert len(reads) == 2
    assert list((path.parent / "cache").iterdir()) == []


def test_a_small_sample_of_a_large_corpus_is_cached(path, reads, monkeypatch):
    monkeypatch.setattr(row_cache, "SMALLEST_BYTES", 1000)
    settings = ["corpus.max_train_rows=2", "corpus.max_eval_rows=2"]
    first = load(path, *settings)
    assert sum(rows.nbytes for rows in first.splits.values()) < 1000
    assert load(path, *settings) == first
    assert len(reads) == 1


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="lists mapped files as Linux does")
def test_the_first_run_keeps_no_second_copy_on_the_disk(path, monkeypatch):
    monkeypatch.setattr(disk, "_MEMORY_BYTES", 100)

    def mapped():
        lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
        return [line for line in lines if str(path.parent / "cache") in line]

    config = compose(["corpus=files", f"corpus.path={path}"])
    uncached = load_corpus(config.corpus, {"odd": Odd()}, ["en", "es"], 1, cache=path.parent / "cache")
    assert [line for line in mapped() if line.endswith("(deleted)")]
    del uncached
    kept = load(path)
    gc.collect()
    assert mapped()
    assert not [line for line in mapped() if line.endswith("(deleted)")]
    assert kept == load(path)
