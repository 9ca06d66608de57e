"""Entries of a shared folder are complete, and those unused for longest are deleted."""

import os
from pathlib import Path

import pytest

from bisum.runs.shared_folder import clean_up, delete, mark_used, partial


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("create", [Path.touch, Path.mkdir])
def test_an_entry_appears_when_it_is_renamed_and_nothing_stays_after_an_error(create, tmp_path):
    with partial(tmp_path, "kind-", create) as path:
        assert path.name.startswith(".kind-")
        os.utime(path, (0, 0))
        clean_up(tmp_path, "kind-", 0)  # spares a locked entry, however old
        path.rename(tmp_path / "kind-a")
    assert names(tmp_path) == ["kind-a"]
    with pytest.raises(ZeroDivisionError), partial(tmp_path, "kind-", create):
        1 / 0  # noqa: B018
    assert names(tmp_path) == ["kind-a"]


def test_entries_used_last_or_within_a_minute_are_kept(tmp_path):
    for number, name in enumerate(["kind-a", "kind-b", "kind-c", "other-a", ".kind-left"]):
        (tmp_path / name / "inside").mkdir(parents=True)
        os.utime(tmp_path / name, (number, number))
    mark_used(tmp_path / "kind-a")
    clean_up(tmp_path, "kind-", 2)
    assert names(tmp_path) == ["kind-a", "kind-c", "other-a"]
    mark_used(tmp_path / "kind-c")
    clean_up(tmp_path, "kind-", 0)
    assert names(tmp_path) == ["kind-a", "kind-c", "other-a"]


def test_deletion_of_a_link_spares_its_target(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "kind-a").symlink_to("target")
    delete(tmp_path / "kind-a")
    delete(tmp_path / "kind-b")  # missing
    assert names(tmp_path) == ["target"]
