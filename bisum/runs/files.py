"""Writing of files that survive a kill or a power failure, and checks that they are unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, contents: Iterable[str] | bytes, aside: str = ".partial") -> None:
    """Write lines or bytes to a file atomically: a kill or a power failure leaves the old or the new file.

    Its folder is created.

    Args:
        path: the file to replace.
        contents: lines without line feeds, or bytes.
        aside: suffix of the temporary file; processes that write the same file at once need different ones.
    """
    path.parent.mkdir(exist_ok=True)
    aside_path = path.with_name(f".{path.name}{aside}")
    aside_path.unlink(missing_ok=True)  # it could be a link
    try:
        with aside_path.open("xb") as file:
            if isinstance(contents, bytes):
                file.write(contents)
            else:
                file.writelines(f"{line}\n".encode(errors="backslashreplace") for line in contents)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        aside_path.unlink(missing_ok=True)  # frees the space of a full disk
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.replace(aside_path, path)
    flush(path.parent)


def version_of(path: Path) -> tuple[int, ...]:
    """Return values that change whenever a file is replaced, such as its modification time; () if it is missing."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def flush(path: Path) -> None:
    """Flush a file's contents, or a folder's names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    import hashlib  # slow to import

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
