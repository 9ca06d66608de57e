"""Files that survive a kill and a power cut, and the check that they are unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(path: Path, contents: Iterable[str] | bytes, aside: str = ".partial") -> None:
    """Write lines, or bytes, to a file atomically: a kill or a power cut leaves the old or the new file.

    Its folder is created. `aside` ends the name of the file that is written first; where several processes may write
    the same file, each needs another.
    """
    path.parent.mkdir(exist_ok=True)
    aside_path = path.with_name(f".{path.name}{aside}")
    aside_path.unlink(missing_ok=True)  # which may be a link
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
    """Return what changes whenever a file is replaced, such as its time of modification; nothing if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def flush(path: Path) -> None:
    """Have a file's contents, or a folder's names, written to disk."""
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
