"""Files of rows or token ids that runs share. A file's name contains its SHA-256, so damage is detected."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from bisum.corpus.disk import mapped
from bisum.errors import UserError, one_line
from bisum.runs.files import digest

_logger = logging.getLogger(__name__)
_GRACE_SECONDS = 60
"""Age from which a partial file without a lock counts as left over from a killed process."""


class ArrowCache:
    """A folder of files `<kind>-<key>-<first 16 hexadecimal digits of the file's SHA-256>.arrow`."""

    def __init__(self, folder: Path, kind: str) -> None:
        """Create the folder. `kind` is what the files contain, such as tokens.

        Raises:
            UserError: it cannot be created.
        """
        self._folder, self._kind = folder, kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cache_dir: '{folder}' cannot be created: {error.strerror}") from error

    def read(self, key: str) -> pa.Table | None:
        """Return the table stored under a key, or None; report and delete a damaged file."""
        for path in sorted(self._folder.glob(f"{self._kind}-{key}-*.arrow")):
            try:
                if not path.is_file():
                    raise OSError("not a file")
                if digest(path)[:16] != path.stem.rpartition("-")[2]:
                    raise OSError("contents have changed")
                return mapped(path)
            except (OSError, pa.ArrowException) as error:
                _logger.warning("cache_dir: %s is damaged (%s); it is written again", path, one_line(error))
                _delete(path)
        return None

    def write(self, key: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """Store batches under a key and return them; other processes see the whole file or none.

        Raises:
            UserError: the folder cannot be written.
        """
        partial = self._folder / f".{self._kind}-{key}-{secrets.token_hex(4)}.partial"
        try:
            self._clean_up()
            with partial.open("xb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # shows other processes that this one is alive
                with pa.ipc.new_stream(file, schema) as stream:
                    for batch in batches:
                        stream.write_batch(batch)
                file.flush()
                os.fsync(file.fileno())
                table = mapped(partial)
                partial.rename(self._folder / f"{self._kind}-{key}-{digest(partial)[:16]}.arrow")
            return table
        except OSError as error:
            raise UserError(f"cache_dir: '{self._folder}' cannot be written: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _clean_up(self) -> None:
        """Delete the partial files of killed processes."""
        for path in self._folder.glob(f".{self._kind}-*.partial"):
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - path.stat().st_mtime > _GRACE_SECONDS:
                    path.unlink()


def _delete(path: Path) -> None:
    """Delete whatever has a cache file's name, if possible; a new file replaces an undeletable one anyway."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
