"""The cache of token ids: damaged files are reported and replaced, and processes do not interfere."""

import errno
import logging
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest

from bisum.corpus import arrow_cache
from bisum.corpus.arrow_cache import ArrowCache
from bisum.errors import UserError
from bisum.runs import shared_folder

KEY = "0123456789abcdef" * 2
SCHEMA = pa.schema({"input_ids": pa.list_(pa.int32()), "document_cut": pa.bool_()})
ROWS = [{"input_ids": list(range(row, row + 40)), "document_cut": row % 2 == 0} for row in range(500)]


def batches(rows=ROWS):
    for start in range(0, len(rows), 100):
        yield pa.RecordBatch.from_pylist(rows[start : start + 100], SCHEMA)


def write(folder, rows=ROWS):
    return ArrowCache(folder, "tokens").write(KEY, SCHEMA, batches(rows))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written_tokens_are_read_back(tmp_path):
    assert ArrowCache(tmp_path, "tokens").read(KEY) is None
    assert write(tmp_path).to_pylist() == ROWS
    (name,) = files(tmp_path)
    assert name.startswith(f"tokens-{KEY}-")
    assert ArrowCache(tmp_path, "tokens").read(KEY).to_pylist() == ROWS


def alter_two_bytes(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2] = b"\x07\x07"
    path.write_bytes(data)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    path.write_bytes(b"")


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


def make_a_folder(path):
    path.unlink()
    (path / "inside").mkdir(parents=True)


def make_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def make_a_dangling_link(path):
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = [alter_two_bytes, truncate, empty, lengthen, make_a_folder, make_a_pipe, make_a_dangling_link]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_file_is_reported_and_replaced(damage, tmp_path, caplog):
    write(tmp_path)
    (name,) = files(tmp_path)
    damage(tmp_path / name)
    with caplog.at_level(logging.WARNING, "bisum"):
        assert ArrowCache(tmp_path, "tokens").read(KEY) is None
    (warning,) = caplog.messages
    assert f"cache_dir: {tmp_path / name} is damaged" in warning
    write(tmp_path)
    assert files(tmp_path) == [name]
    assert ArrowCache(tmp_path, "tokens").read(KEY).to_pylist() == ROWS


def test_file_that_another_process_has_just_deleted_is_not_called_damaged(tmp_path, caplog, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(arrow_cache, "mark_used", Path.unlink)
    with caplog.at_level(logging.WARNING, "bisum"):
        assert ArrowCache(tmp_path, "tokens").read(KEY) is None
    assert caplog.messages == []


def test_file_that_the_disk_cannot_return_is_reported_and_kept(tmp_path, caplog, monkeypatch):
    write(tmp_path)
    (name,) = files(tmp_path)

    def fails(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(arrow_cache, "digest", fails)
    with caplog.at_level(logging.WARNING, "bisum"):
        assert ArrowCache(tmp_path, "tokens").read(KEY) is None
    (warning,) = caplog.messages
    assert f"cache_dir: {tmp_path / name} cannot be read (Input/output error); it will be replaced" in warning
    assert files(tmp_path) == [name]


def in_a_child(work, user=None):
    """Run `work` in a forked process and return its process id."""
    if (child := os.fork()) == 0:
        try:
            if user is not None:
                os.setuid(user)
            work()
            os._exit(0)
        except UserError as error:
            print(error, flush=True)
            os._exit(2)
        finally:
            os._exit(1)
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_missing_permissions_are_reported(capfd, request):
    tmp_path = Path(tempfile.mkdtemp(prefix="bisum-tests-"))  # another user cannot enter pytest's folders
    request.addfinalizer(lambda: shutil.rmtree(tmp_path))
    tmp_path.chmod(0o755)
    write(tmp_path)
    (path,) = tmp_path.iterdir()
    path.chmod(0o600)  # unreadable, in a folder that cannot be written
    nobody = 65534

    def work():
        assert ArrowCache(tmp_path, "tokens").read(KEY) is None
        write(tmp_path)

    assert ended(in_a_child(work, nobody)) == 2
    assert f"cache_dir: '{tmp_path}' cannot be written: Permission denied" in capfd.readouterr().out
    tmp_path.chmod(0o777)
    assert ended(in_a_child(work, nobody)) == 0
    assert ArrowCache(tmp_path, "tokens").read(KEY).to_pylist() == ROWS


def test_file_in_place_of_the_folder_is_reported(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match=r"cache_dir: '.*/cache' cannot be created"):
        ArrowCache(tmp_path / "cache", "tokens")


def test_full_disk_is_reported(tmp_path, capfd):
    import resource

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        write(tmp_path)

    assert ended(in_a_child(work)) == 2
    assert f"cache_dir: '{tmp_path}' cannot be written: File too large" in capfd.readouterr().out
    assert files(tmp_path) == []


def test_concurrent_processes_fill_an_empty_cache(tmp_path):
    def work():
        cache = ArrowCache(tmp_path, "tokens")
        table = cache.read(KEY)
        assert (cache.write(KEY, SCHEMA, batches()) if table is None else table).to_pylist() == ROWS

    assert [ended(child) for child in [in_a_child(work) for _ in range(6)]] == [0] * 6
    assert len(files(tmp_path)) == 1


def test_partial_file_of_a_killed_process_is_deleted(tmp_path, monkeypatch):
    def slow():
        for number, batch in enumerate(batches()):
            if number == 3:
                time.sleep(60)
            yield batch

    child = in_a_child(lambda: ArrowCache(tmp_path, "tokens").write(KEY, SCHEMA, slow()))
    while not any(path.stat().st_size for path in tmp_path.iterdir()):
        time.sleep(0.01)
    (partial,) = files(tmp_path)
    os.utime(tmp_path / partial, (0, 0))
    write(tmp_path, ROWS[:100])  # the file of a live process stays, however old
    assert partial in files(tmp_path)
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    os.utime(tmp_path / partial, (0, 0))  # the process may have written after the first time
    shutil.copy(tmp_path / partial, tmp_path / ".tokens-x.partial")  # a recent one, which might not be locked yet
    assert ArrowCache(tmp_path, "tokens").read(KEY).to_pylist() == ROWS[:100]
    monkeypatch.setattr(shared_folder, "GRACE_SECONDS", 10_000)
    write(tmp_path)
    assert partial not in files(tmp_path)
    assert ".tokens-x.partial" in files(tmp_path)


def test_the_files_of_a_kind_that_were_used_last_are_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(arrow_cache.MOST, "tokens", 2)
    cache = ArrowCache(tmp_path, "tokens")
    other = ArrowCache(tmp_path, "rows").write("0", SCHEMA, batches())
    mapped = {key: cache.write(key, SCHEMA, batches()) for key in "ab"}
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0) if path.name.startswith("tokens") else None)
    cache.read("a")  # counts as a use
    cache.write("c", SCHEMA, batches())
    assert [cache.read(key) is None for key in "abc"] == [False, True, False]
    assert ArrowCache(tmp_path, "rows").read("0") == other
    assert mapped["b"].to_pylist() == ROWS  # a process that uses it can go on
    cache.write("d", SCHEMA, batches())
    assert len([name for name in files(tmp_path) if name.startswith("tokens")]) == 3  # those in use by others stay


def test_an_error_of_the_rows_source_is_not_one_of_the_folder(tmp_path):
    def failing():
        yield next(batches())
        raise OSError("the rows' own disk")

    with pytest.raises(OSError, match="the rows' own disk"):
        ArrowCache(tmp_path, "tokens").write(KEY, SCHEMA, failing())
    assert files(tmp_path) == []
