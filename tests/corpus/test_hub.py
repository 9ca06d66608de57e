"""Hub data sets from local folders with the layout of repositories, and an unreachable hub."""

import dataclasses
import hashlib
import json
import logging
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bisum import compose
from bisum.corpus.corpus import load_corpus
from bisum.corpus.fingerprints import fingerprint
from bisum.corpus.sample import Sample
from bisum.errors import UserError
from bisum.interfaces.source import SPLITS, Source

NAMES = {"en": "english", "es": "spanish"}


def write_parquet(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_card(folder: Path, splits: list[str], language_names: dict[str, str] = NAMES) -> None:
    """Write a README.md whose header names each configuration's files, as `push_to_hub` does."""
    lines = ["---", "configs:"]
    for name in language_names.values():
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [line for split in splits for line in (f"  - split: {split}", f"    path: {name}/{split}-*")]
    (folder / "README.md").write_text("\n".join([*lines, "---", "# A corpus"]), encoding="utf-8")


@pytest.fixture(scope="module")
def sample() -> dict[str, pa.Table]:
    splits = Sample(max_train_rows=None, max_eval_rows=None, language_temperature=1).load(["en", "es"])
    return {split: pa.concat_tables([rows.slice(0, 30), rows.slice(len(rows) - 30)]) for split, rows in splits.items()}


@pytest.fixture
def repository(tmp_path, sample) -> Path:
    """A repository with a configuration per language and its own column names."""
    folder = tmp_path / "summaries"
    for split, rows in sample.items():
        for language, name in NAMES.items():
            own = [
                {"key": row["id"], "body": row["document"], "headline": row["summary"], "section": row["category"]}
                for row in rows.to_pylist()
                if row["language"] == language
            ]
            write_parquet(folder / name / f"{split}-00000-of-00001.parquet", own)
    write_card(folder, list(SPLITS))
    return folder


def hub(option="hub", columns=None, **changes):
    corpus = compose([f"corpus={option}", "corpus.repo=x", "tracker=none"]).corpus
    return dataclasses.replace(corpus, columns=dataclasses.replace(corpus.columns, **(columns or {})), **changes)


OWN = {"id": "key", "category": "section"}


def test_repository_has_the_fingerprint_of_its_rows(repository, sample):
    source = hub(columns=OWN, repo=str(repository), configurations=NAMES)
    assert isinstance(source, Source)
    assert load_corpus(source, {}, ["en", "es"], seed=1).fingerprint == fingerprint(sample)


def test_configurations_are_given_by_a_template_or_one_name(repository, sample):
    for name in NAMES.values():
        (repository / name).rename(repository / f"lang-{name[:2]}")
    write_card(repository, list(SPLITS), {"en": "lang-en", "es": "lang-sp"})
    rows = hub(columns=OWN, repo=str(repository), configurations="lang-{language}").load(["en"])
    assert rows["test"].to_pylist() == [row for row in sample["test"].to_pylist() if row["language"] == "en"]
    rows = hub(columns=OWN, repo=str(repository), configurations="lang-sp").load(["es"])
    assert rows["test"]["id"].to_pylist() == [
        row["id"] for row in sample["test"].to_pylist() if row["language"] == "es"
    ]


def test_folder_of_plain_files_with_a_language_column_is_read(tmp_path, sample):
    folder = tmp_path / "plain"
    folder.mkdir()
    for split, rows in sample.items():
        text = "".join(json.dumps(row) + "\n" for row in rows.to_pylist())
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    assert load_corpus(hub(repo=str(folder)), {}, ["en", "es"], seed=1).fingerprint == fingerprint(sample)


def test_folders_from_save_to_disk_are_read(tmp_path, sample):
    from datasets import Dataset, DatasetDict

    whole = DatasetDict({split: Dataset.from_list(rows.to_pylist()) for split, rows in sample.items()})
    whole.save_to_disk(tmp_path / "all")
    source = hub(repo=str(tmp_path / "all"))
    assert load_corpus(source, {}, ["en", "es"], seed=1).fingerprint == fingerprint(sample)

    shuffled = whole["train"].shuffle(seed=1).select(range(40))  # saved with its order in a separate file
    shuffled.save_to_disk(tmp_path / "one")
    source = hub(repo=str(tmp_path / "one"), validation=None, test=None)
    splits = source.load(["en", "es"])
    assert {row for split in SPLITS for row in splits[split]["id"].to_pylist()} == set(shuffled["id"])
    assert error_line(hub(repo=str(tmp_path / "one"))) == (
        f"corpus.validation: {tmp_path}/one has no split 'validation' (splits: train; null takes a share of train)"
    )


def test_one_folder_from_save_to_disk_per_language_is_read(tmp_path, sample):
    from datasets import Dataset

    for language, name in NAMES.items():
        rows = [row for row in sample["train"].to_pylist() if row["language"] == language]
        Dataset.from_list(rows).save_to_disk(tmp_path / name)
    source = hub(repo=str(tmp_path), configurations=NAMES, validation=None, test=None)
    splits = source.load(["en", "es"])
    assert sum(splits[split].num_rows for split in SPLITS) == sample["train"].num_rows


def test_folders_from_save_to_disk_are_never_joined(tmp_path, sample):
    from datasets import Dataset

    for language, name in NAMES.items():
        rows = [row for row in sample["train"].to_pylist() if row["language"] == language]
        Dataset.from_list(rows).save_to_disk(tmp_path / name)
    with pytest.raises(UserError, match=r"^corpus.configurations: .* several folders written by save_to_disk; name"):
        hub(repo=str(tmp_path), validation=None, test=None).load(["en"])


def test_damaged_folder_from_save_to_disk_is_reported_in_one_line(tmp_path, sample):
    from datasets import Dataset

    Dataset.from_list(sample["test"].to_pylist()).save_to_disk(tmp_path / "one")
    (tmp_path / "one/data-00000-of-00001.arrow").write_bytes(b"no Arrow")
    line = error_line(hub(repo=str(tmp_path / "one"), validation=None, test=None))
    assert line.startswith(f"corpus.repo: {tmp_path}/one: ")


def test_changed_files_are_read_again(repository):
    source = hub(columns=OWN, repo=str(repository), configurations=NAMES)
    before = source.load(["en"])["test"].num_rows
    write_parquet(
        repository / "english/test-00000-of-00001.parquet", [{"key": "1", "body": "a", "headline": "b", "section": "c"}]
    )
    assert (before, source.load(["en"])["test"].num_rows) == (30, 1)


def test_folder_is_identified_by_its_files_unless_it_links_to_other_folders(repository):
    files = [path for path in repository.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (10**9, 10**9))
    source = hub(repo=str(repository))
    known = source.identity(["en", "es"])
    assert len(known) == len(files)
    os.utime(files[0], (10**9, 10**9 + 1))
    assert source.identity(["en", "es"]) != known
    (repository / "english").rename(repository.parent / "elsewhere")
    (repository / "english").symlink_to(repository.parent / "elsewhere")
    assert source.identity(["en", "es"]) is None


def test_layout_of_wikilingua_is_read(tmp_path):
    """Sections are parallel lists; a translation goes into the split of the English article that it names."""

    def article(language: str, n: int) -> dict:
        parts = {
            "section_name": ["one", "two"],
            "document": [f"{language} {n} first", f"{language} {n} second"],
            "summary": [f"{language} {n} 1", f"{language} {n} 2"],
        }
        if language == "es":
            parts |= {"english_url": [f"https://en/{n}"] * 2, "english_section_name": ["one", "two"]}
        return {"url": f"https://{language}/{n}", "article": parts}

    for language, name in NAMES.items():
        write_parquet(tmp_path / name / "train-00000-of-00001.parquet", [article(language, n) for n in range(80)])
    write_card(tmp_path, ["train"])
    splits = hub("wikilingua", repo=str(tmp_path)).load(["en", "es"])
    rows = {row["id"]: (split, row) for split in SPLITS for row in splits[split].to_pylist()}
    assert len(rows) == 320
    assert rows["es-3-2"][1] == {
        "id": "es-3-2",
        "document": "es 2 second",
        "summary": "es 2 2",
        "language": "es",
        "category": None,
    }
    for n in range(80):
        position = int(hashlib.sha256(f"https://en/{n}".encode()).hexdigest()[:16], 16) / 16**16
        expected = "test" if position < 0.1 else "validation" if position < 0.2 else "train"
        assert {rows[f"{code}-{n + 1}-{part}"][0] for code in NAMES for part in (1, 2)} == {expected}


def test_layout_of_xlsum_is_read(tmp_path):
    """The hub's Parquet branch has no README.md but a folder per language, with a folder per split."""
    for language, name in NAMES.items():
        for split in SPLITS:
            rows = [
                {"id": f"{language}-{split}", "url": "u", "title": "t", "summary": "Sum", "text": f"Text {language}"}
            ]
            write_parquet(tmp_path / name / split / "0000.parquet", rows)
            (tmp_path / name / split / "index.duckdb").write_bytes(b"no rows")
    splits = hub("xlsum", repo=str(tmp_path)).load(["en", "es"])
    assert splits["validation"].to_pylist() == [
        {"id": f"{code}-validation", "document": f"Text {code}", "summary": "Sum", "language": code, "category": None}
        for code in NAMES
    ]


def test_loading_leaves_nothing_in_the_repository(repository):
    def everything():
        return {path: path.stat().st_mtime_ns for path in repository.rglob("*")}

    before = everything()
    hub(columns=OWN, repo=str(repository), configurations=NAMES).load(["en", "es"])
    assert everything() == before


def error_line(source, languages=("en", "es")) -> str:
    with pytest.raises(UserError) as error:
        source.load(list(languages))
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "corpus.configurations: {repo} has several; name one (configurations: english, spanish)"),
        (
            {"configurations": "{language}"},
            "corpus.configurations: {repo} has no configuration 'en' (configurations: english, spanish)",
        ),
        ({"configurations": {"es": "spanish"}}, "corpus.configurations: missing language 'en' (languages: es)"),
        (
            {"configurations": NAMES, "test": "tset"},
            "corpus.test: {repo} has no split 'tset' (splits: train, validation, test; null takes a share of train)",
        ),
        (
            {"configurations": NAMES, "columns": {"summary": "hedline"}},
            "corpus.columns.summary: {repo}/english/train has no column 'hedline', did you mean 'headline'? "
            "(columns: key, body, headline, section)",
        ),
    ],
)
def test_missing_parts_of_a_repository_are_reported(repository, changes, message):
    line = error_line(hub(repo=str(repository), **changes))
    assert line.startswith(message.replace("{repo}", str(repository)))


def test_row_whose_language_differs_from_its_configuration_is_refused(repository):
    rows = [{"key": key, "body": "a", "headline": "b", "lang": key} for key in ("en", "es")]
    for split in SPLITS:
        write_parquet(repository / f"english/{split}-00000-of-00001.parquet", rows)
    columns = {"id": "key", "category": None}
    line = error_line(hub(columns=columns, repo=str(repository), configurations={"en": "english"}), ["en"])
    assert line.startswith(f"{repository}/english/train, row 2: language is 'es'; must be 'en'")


@pytest.mark.parametrize(
    ("files", "configurations", "reason"),
    [
        ({}, None, "The directory at {repo} doesn't contain any data files"),
        ({}, "en", "The directory at {repo} doesn't contain any data files"),
        ({"train.csv": "a,b\n", "test.jsonl": "{}"}, None, "Couldn't infer the same data file format for all splits"),
        ({"train.csv": "a,b\n", "test.jsonl": "{}"}, "en", "Couldn't infer the same data file format for all splits"),
        ({"train.parquet": "No Parquet file"}, None, "Parquet magic bytes not found in footer"),
        ({"en/train.parquet": "No Parquet file"}, "en", "Parquet magic bytes not found in footer"),
        ({"train.csv": "a\n", "README.md": "---\nconfigs:\n- config_name: [x\n---\n"}, None, "while parsing a flow"),
    ],
)
def test_unreadable_repository_is_reported_in_one_line(tmp_path, write, capfd, files, configurations, reason):
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, text in files.items():
        write(folder / name, text)
    line = error_line(hub(repo=str(folder), configurations=configurations))
    assert line.startswith(f"corpus.repo: {folder}: {reason.replace('{repo}', str(folder))}")
    assert capfd.readouterr().err == ""


def test_loading_is_silent_and_restores_the_libraries_settings(repository, capfd):
    import datasets
    from huggingface_hub import utils

    def state():
        levels = [logging.getLogger(name).level for name in ("datasets", "huggingface_hub")]
        return levels, datasets.are_progress_bars_disabled(), utils.are_progress_bars_disabled()

    datasets.enable_progress_bars()
    before = state()
    hub(columns=OWN, repo=str(repository), configurations=NAMES).load(["en", "es"])
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_repeated_id_is_reported_with_both_rows(repository):
    rows = [{"key": key, "body": "a", "headline": "b", "section": "c"} for key in ("k1", "k2", "k1")]
    write_parquet(repository / "english/train-00000-of-00001.parquet", rows)
    line = error_line(hub(columns=OWN, repo=str(repository), configurations=NAMES))
    assert line.startswith(f"{repository}/english/train, row 1 and row 3: both have the id 'k1'; ids must be unique")


def test_file_in_place_of_a_repository_is_refused(repository):
    path = repository / "README.md"
    line = error_line(hub(repo=str(path)))
    assert line == f"corpus.repo: {path} is a file; read it with corpus=files corpus.path={path}"


def test_script_of_a_repository_is_not_run(tmp_path):
    (tmp_path / "scripted").mkdir()
    (tmp_path / "scripted/scripted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    line = error_line(hub(repo=str(tmp_path / "scripted")))
    assert line.endswith("corpus.revision=refs/convert/parquet is the hub's copy without a script")
    assert not (tmp_path / "ran").exists()


def test_uncached_repository_is_reported_when_offline():
    line = error_line(hub(repo="nobody/nothing"))
    message = "is neither a folder nor in the cache; unset HF_HUB_OFFLINE to download it"
    assert line == f"corpus.repo: 'nobody/nothing' {message}"


def test_unreachable_hub_is_reported_at_once_in_one_line(run_bisum, tmp_path):
    environment = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    done = run_bisum("baseline", "corpus=wikilingua", "tracker=none", cwd=tmp_path, env=os.environ | environment)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.startswith("bisum: corpus.repo: cannot reach the hub at http://127.0.0.1:9 for 'esdurmus/wiki_lingua'")
    assert done.seconds < 20  # datasets itself keeps trying for 23
