"""Folders stand for the runs below them, without duplicates; unreadable runs are listed with a reason."""

import json
import os
from pathlib import Path

import pytest

from bisum.comparison.finding import find_runs, folder_of
from bisum.errors import UserError

RECORD = {"job": "train", "config": {"model": {"max_document_tokens": 64, "max_summary_tokens": 12}}}


def run_at(path: Path, record: object = RECORD) -> Path:
    path.mkdir(parents=True)
    (path / "run.json").write_text(record if isinstance(record, str) else json.dumps(record), "utf-8")
    return path


def names(paths: list, folder: Path) -> list[str]:
    return [str(run.directory.relative_to(folder)) for run in find_runs(paths)[0]]


def test_folder_yields_the_runs_below_it_in_natural_order(tmp_path):
    for name in ("10", "9", "lr-2/1", "lr-10/1", "2", "a/b/c"):
        run_at(tmp_path / name)
    assert names([tmp_path], tmp_path) == ["2", "9", "10", "a/b/c", "lr-2/1", "lr-10/1"]


def test_runs_keep_the_order_of_the_paths(tmp_path):
    for name in ("1", "2", "3"):
        run_at(tmp_path / name)
    assert names([tmp_path / "3", tmp_path], tmp_path) == ["3", "1", "2"]


def test_run_counts_once_under_several_paths(tmp_path, monkeypatch):
    run = run_at(tmp_path / "outputs/1")
    (tmp_path / "link").symlink_to(run)
    (tmp_path / "folder").symlink_to(tmp_path / "outputs")
    monkeypatch.chdir(run)
    paths = [run, tmp_path / "link", tmp_path / "folder", tmp_path / "outputs/../outputs/1", ".", tmp_path / "outputs"]
    found, others = find_runs(paths)
    assert [found_run.directory for found_run in found] == [run]
    assert others == []


def test_links_are_followed_to_their_targets(tmp_path):
    run_at(tmp_path / "outputs/1")
    (tmp_path / "run").symlink_to(tmp_path / "outputs/1")
    (tmp_path / "folder").symlink_to(tmp_path / "outputs")
    assert names([tmp_path / "run"], tmp_path) == ["run"]
    assert names([tmp_path / "folder"], tmp_path) == ["folder/1"]


def test_link_cycle_ends(tmp_path):
    run_at(tmp_path / "outputs/1")
    (tmp_path / "outputs/again").symlink_to(tmp_path / "outputs")
    assert names([tmp_path / "outputs"], tmp_path) == ["outputs/1"]


def test_folders_below_a_run_are_not_searched(tmp_path):
    run_at(tmp_path / "1")
    run_at(tmp_path / "1/wandb/copy")
    run_at(tmp_path / "1/0")
    assert names([tmp_path], tmp_path) == ["1"]
    assert names([tmp_path / "1"], tmp_path) == ["1"]
    assert names([tmp_path / "1/0"], tmp_path) == ["1/0"]  # unless named explicitly


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "'missing' does not exist; give run directories or folders that contain them"),
        ("~nobody-of-this-name/x", "'~nobody-of-this-name/x' does not exist; give run directories"),
        ("file.txt", "'file.txt' is a file; give run directories or folders that contain them"),
        ("empty", "'empty' contains no run; neither it nor a folder below it has a run.json"),
        ("file.txt/below", "'file.txt/below'"),
        ("x" * 300, "File name too long"),
    ],
)
def test_path_without_runs_is_reported(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("", "utf-8")
    (tmp_path / "empty/below").mkdir(parents=True)
    run_at(tmp_path / "run")
    with pytest.raises(UserError, match=r"^'") as raised:
        find_runs(["run", path])
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\0\0\0", "is empty"),
        ('{"job": "tra', "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "must contain an object"),
        ("{}", "job is missing"),
        ('{"name": "a package of somebody", "version": 1}', "job is missing"),
        ('{"job": 3, "config": {}}', "job must be text"),
        ('{"job": "train", "config": []}', "config must be an object"),
        ('{"job": "train", "config": {"model": null}}', "config.model must be an object"),
        (json.dumps({**RECORD, "status": ["finished"]}), "status must be text"),
        (json.dumps({**RECORD, "scores": {"rougeL": 3}}), "scores.rougeL must be an object"),
        (json.dumps({**RECORD, "status": "finished"}), "data is missing"),
        (json.dumps({**RECORD, "evaluation": {"split": "test", "predictions": "../../x"}}), "evaluation.predictions"),
    ],
)
def test_malformed_record_is_listed_as_unreadable(tmp_path, text, reason):
    run_at(tmp_path / "broken", text)
    run_at(tmp_path / "whole")
    found, (other,) = find_runs([tmp_path])
    assert [run.directory.name for run in found] == ["whole"]
    assert (other.directory, other.status) == (tmp_path / "broken", "unreadable")
    assert reason in other.reason
    assert "\n" not in other.reason


def test_non_utf_8_and_non_file_records_are_listed_as_unreadable(tmp_path):
    run_at(tmp_path / "latin")
    (tmp_path / "latin/run.json").write_bytes('{"job": "señal"}'.encode("latin-1"))
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe/run.json")
    (tmp_path / "folder/run.json").mkdir(parents=True)
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling/run.json").symlink_to(tmp_path / "nowhere")
    found, others = find_runs([tmp_path])
    assert found == []
    assert [(other.directory.name, other.status) for other in others] == [
        (name, "unreadable") for name in ("dangling", "folder", "latin", "pipe")
    ]


def test_folder_with_a_non_utf_8_name_is_found(tmp_path):
    name = os.fsdecode(b"se\xf1al")
    run_at(tmp_path / name)
    assert names([tmp_path], tmp_path) == [name]


def test_output_folder_is_the_compared_folder(tmp_path):
    run_at(tmp_path / "sweep/0")
    assert folder_of([tmp_path / "sweep"]) == tmp_path / "sweep"
    assert folder_of([tmp_path / "sweep/0"]) == Path()  # nothing is written into a run directory
    assert folder_of([tmp_path / "sweep", tmp_path]) == Path()
