"""A folder of converted models that processes share. Each records the SHA-256 of its files, so damage is detected."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bisum.errors import one_line, reason
from bisum.runs.files import digest, flush
from bisum.runs.shared_folder import clean_up, delete, mark_used, partial

logger = logging.getLogger(__name__)

MOST = 5
"""Maximum number of conversions in a folder; beyond it, those unused for longest are deleted."""
_RECORD = "record.json"
_PREFIX = "ctranslate2-"


def key_of(folder: Path, parts: Mapping[str, Any]) -> str:
    """Return a key that differs whenever a file in a model's folder, or one of `parts`, is replaced or changed.

    Files are identified as by make, without reading them, and by the time of the last change of their attributes, which
    no program can set.
    """
    found = {path.name: path.stat() for path in sorted(folder.iterdir()) if path.is_file()}
    files = [(name, at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns) for name, at in found.items()]
    stated = json.dumps([str(folder.resolve()), files, dict(parts)], sort_keys=True)
    return hashlib.sha256(stated.encode()).hexdigest()[:32]


class Conversions:
    """Folders `ctranslate2-<key>`, each with a file `record.json` and a folder `model` in CTranslate2's format."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """Return the model's folder and the record stored under a key, or None; report and delete a damaged one."""
        entry = self._folder / f"{_PREFIX}{key}"
        if not os.path.lexists(entry):
            return None
        try:
            record = json.loads((entry / _RECORD).read_text("utf-8"))
            if record["files"] != _digests(entry / "model"):
                raise ValueError("contents have changed")
            mark_used(entry)
            return entry / "model", dict(record["values"])
        except (OSError, ValueError, TypeError, LookupError) as error:
            self.drop(key, one_line(error))
            return None

    def drop(self, key: str, why: str) -> None:
        """Report and delete a damaged conversion."""
        entry = self._folder / f"{_PREFIX}{key}"
        logger.warning("cache_dir: %s is damaged (%s); its model will be converted again", entry, why)
        delete(entry)

    def keep(self, key: str, write: Callable[[Path], Mapping[str, Any]], is_current: Callable[[], bool]) -> Path | None:
        """Store a conversion and return the model's folder; other processes see all of it or nothing.

        Args:
            key: the key, which no conversion has.
            write: writes the model to a new folder, and returns the values of its record.
            is_current: whether the key still applies; otherwise the conversion is dropped.

        Returns:
            The folder; None if the model cannot be converted, or the folder cannot be written, which is reported.
        """
        entry = self._folder / f"{_PREFIX}{key}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            clean_up(self._folder, _PREFIX, MOST - 1)
            with partial(self._folder, _PREFIX, Path.mkdir) as path:
                values = dict(write(path / "model"))
                record = {"files": _digests(path / "model"), "values": values}
                (path / _RECORD).write_text(json.dumps(record), "utf-8")
                for written in [*(path / "model").iterdir(), path / _RECORD, path / "model", path]:
                    flush(written)
                if not is_current():
                    return None
                if not _renames(path, entry) and _digests(entry / "model") != record["files"]:
                    raise FileExistsError(f"'{entry.name}' is damaged and cannot be deleted")
                flush(self._folder)
            return entry / "model"
        except OSError as error:
            why = error.strerror or one_line(error)
            logger.warning("cache_dir: the converted model cannot be stored in '%s' (%s)", self._folder, why)
        except (ImportError, RuntimeError, ValueError) as error:  # generation reports why CTranslate2 fails
            logger.debug("cache_dir: the model cannot be converted (%s)", reason(error))
        return None


def _renames(path: Path, entry: Path) -> bool:
    """Rename a folder; return whether that was possible, as it is unless another process was faster."""
    try:
        path.rename(entry)
    except OSError:
        if not os.path.lexists(entry):
            raise
        return False
    return True


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: digest(path) for path in sorted(folder.iterdir())}
