"""Entries of a shared folder are complete, and those unused for longest are deleted."""

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from bisum.runs.shared_folder import GRACE_WITHOUT_LOCKS_SECONDS, clean_up, delete, mark_used, partial


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


@pytest.mark.parametrize("create", [Path.touch, Path.mkdir])
@pytest.mark.parametrize("has_locks", [True, False])
def test_entries_are_written_where_locks_need_a_writable_file_or_are_missing(create, has_locks, tmp_path, monkeypatch):
    lock = fcntl.flock

    def flock(descriptor, operation):  # as NFS does: flock(2)
        if not has_locks or not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_RDWR:
            raise OSError(errno.EBADF if has_locks else errno.ENOLCK, "no lock")
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with partial(tmp_path, "kind-", create) as path:
        hour_ago = time.time() - 3600
        os.utime(path, (hour_ago, hour_ago))
        clean_up(tmp_path, "kind-", 0)
        path.rename(tmp_path / "kind-a")
    assert names(tmp_path) == ["kind-a"]
    create(tmp_path / ".kind-left")
    old = time.time() - GRACE_WITHOUT_LOCKS_SECONDS - 1
    os.utime(tmp_path / ".kind-left", (old, old))
    clean_up(tmp_path, "kind-", 1)
    assert names(tmp_path) == ["kind-a"]


def test_cleaning_never_takes_the_lock_of_a_new_entry(tmp_path):
    done, cleanings = threading.Event(), []

    def clean():
        while not done.is_set():
            cleanings.append(clean_up(tmp_path, "kind-", 0))

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    written = 0
    try:
        for _ in range(200):
            with partial(tmp_path, "kind-", Path.touch):
                written += 1
    finally:
        done.set()
        cleaner.join()
    assert written > 0
    assert len(cleanings) > 1  # some while entries were written


def test_cleaning_goes_on_after_an_entry_that_another_process_deletes(tmp_path, monkeypatch):
    for name in ("kind-a", "kind-b"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    listed = [tmp_path / "kind-gone", *tmp_path.glob("kind-*")]
    monkeypatch.setattr(Path, "glob", lambda _, pattern: [] if pattern.startswith(".") else listed)
    clean_up(tmp_path, "kind-", 1)
    assert len(names(tmp_path)) == 1


def test_deletion_of_a_link_spares_its_target(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "kind-a").symlink_to("target")
    delete(tmp_path / "kind-a")
    delete(tmp_path / "kind-b")  # missing
    assert names(tmp_path) == ["target"]
