"""The base of an adapter: the model that it belongs to, recorded in `base.json` and verified when it is read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from bisum.errors import UserError
from bisum.interfaces.adapter import Quantization
from bisum.models.hub import PICKLES, SAFETENSORS, commit_of
from bisum.runs.checkpoints import BASE
from bisum.runs.entries import OBJECT, TEXT, Entries, Kind, or_null, read_object
from bisum.runs.files import digest, version_of

_ENTRIES: Entries = {
    "checkpoint": Kind("text that is not empty", lambda value: isinstance(value, str) and bool(value.strip()), TEXT),
    "revision": or_null(TEXT),
    "quantize": Kind("4bit or null", lambda value: value in (*get_args(Quantization), None)),
    "weights": OBJECT,
    "weights.*": TEXT,
}


@dataclass(frozen=True, kw_only=True)
class Base:
    """The place and the weights of a base."""

    checkpoint: str
    """Hub name, `pkg://PACKAGE` or absolute path."""
    revision: str | None
    """Commit of the hub repository; None for other places."""
    quantize: Quantization | None
    """How the weights were stored in training; None: float32."""
    weights: dict[str, str]
    """SHA-256 of each weights file by name; empty if unknown."""

    @property
    def doubt(self) -> str | None:
        """Why the weights that are read may not be the right ones; None if they are verified."""
        if self.weights:
            return None
        return (
            f"model.checkpoint: the adapter records no hash of its base '{self.checkpoint}', so bisum cannot verify it"
        )

    def verify(self, folder: Path, adapter: Path) -> None:
        """Raise UserError unless the folder's weights are the ones that the adapter was trained on."""
        if not self.weights:
            return
        found = digests(folder)
        differing = sorted(name for name in {*found, *self.weights} if found.get(name) != self.weights.get(name))
        if differing:
            problem = "has changed" if differing[0] in found else "is missing"
            raise UserError(
                f"model.base: '{folder}' is not the base that '{adapter}' was trained on: {differing[0]} {problem}; "
                "set model.base to a copy of the original"
            )

    def write(self, folder: Path) -> None:
        """Write `base.json`."""
        (folder / BASE).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")


def read_base(folder: Path) -> Base | None:
    """Return the base in an adapter's `base.json`; None if the folder has none.

    Raises:
        UserError: the file cannot be read, or an entry is missing or of the wrong kind.
    """
    try:
        values = read_object(folder / BASE, _ENTRIES)
    except FileNotFoundError:
        return None
    return Base(**{name: values[name] for name in ("checkpoint", "revision", "quantize", "weights")})


def base_of(given: str, folder: Path, quantize: Quantization | None) -> Base:
    """Return the base to record for a model: its place as `given`, and the local folder of its files."""
    is_local = Path(given).expanduser().is_dir()
    return Base(
        checkpoint=str(Path(given).expanduser().absolute()) if is_local else given,
        revision=None if is_local else commit_of(folder),
        quantize=quantize,
        weights=digests(folder),
    )


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each weights file that transformers can read: safetensors, or pickles without any."""
    for patterns in (SAFETENSORS, PICKLES):
        if files := sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
            return {path.name: _digest(path, version_of(path)) for path in files}
    return {}


@cache
def _digest(path: Path, version: tuple[int, ...]) -> str:  # noqa: ARG001 - the version makes a changed file another one
    """Return the SHA-256 of a version of a file; a command checks it before and after the corpus is read."""
    return digest(path)
