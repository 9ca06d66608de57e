"""Files of rows or token ids that runs share. A file's name contains its SHA-256, so damage is detected."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from bisum.corpus.disk import Pulled, mapped
from bisum.errors import UserError, one_line
from bisum.runs.files import digest
from bisum.runs.shared_folder import clean_up, delete, mark_used, partial

_logger = logging.getLogger(__name__)
MOST = {"rows": 10, "tokens": 30}
"""Maximum number of files of each kind; those unused for longest are deleted. A corpus has token ids in three."""


class _DamagedError(Exception):
    """A file does not contain what was written."""


class ArrowCache:
    """A folder of files `<kind>-<key>-<first 16 hexadecimal digits of the file's SHA-256>.arrow`."""

    def __init__(self, folder: Path, kind: str) -> None:
        """Create the folder. `kind` is what the files contain, a key of `MOST`.

        Raises:
            UserError: it cannot be created.
        """
        self._folder, self._kind = folder, kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cache_dir: '{folder}' cannot be created: {error.strerror}") from error

    def read(self, key: str) -> pa.Table | None:
        """Return the table stored under a key, or None; report a file that cannot be read, and delete a damaged one."""
        for path in sorted(self._folder.glob(f"{self._kind}-{key}-*.arrow")):
            mark_used(path)
            try:
                return _read(path)
            except OSError as error:
                if os.path.lexists(path):  # otherwise, another process has just deleted it
                    why = error.strerror or one_line(error)
                    _logger.warning("cache_dir: %s cannot be read (%s); it will be replaced", path, why)
            except _DamagedError as error:
                _logger.warning("cache_dir: %s is damaged (%s); it will be replaced", path, error)
                delete(path)
        return None

    def write(self, key: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """Store batches under a key and return them; other processes see the whole file or none.

        Raises:
            UserError: the folder cannot be written.
        """
        pulled, prefix = Pulled(batches), f"{self._kind}-"
        try:
            clean_up(self._folder, prefix, MOST[self._kind] - 1)
            with partial(self._folder, prefix, Path.touch) as path:
                with path.open("wb") as file:
                    with pa.ipc.new_stream(file, schema) as stream:
                        for batch in pulled:
                            stream.write_batch(batch)
                    file.flush()
                    os.fsync(file.fileno())
                table = mapped(path)
                path.rename(self._folder / f"{prefix}{key}-{digest(path)[:16]}.arrow")
            return table
        except OSError as error:
            if error is pulled.error:
                raise
            raise UserError(f"cache_dir: '{self._folder}' cannot be written: {error.strerror or error}") from error


def _read(path: Path) -> pa.Table:
    if not path.is_file() and os.path.lexists(path):
        raise _DamagedError("not a file")
    if digest(path)[:16] != path.stem.rpartition("-")[2]:
        raise _DamagedError("contents have changed")
    try:
        return mapped(path)
    except pa.ArrowException as error:
        raise _DamagedError(one_line(error)) from error
