"""`metrics.jsonl`: one line per logged step or evaluation, each with `step` and `epoch`."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bisum.errors import UserError
from bisum.runs.entries import NUMBER, SCORE, WHOLE, wrong_entry
from bisum.runs.files import flush, replace_file

_ENTRIES = {"step": WHOLE, "epoch?": NUMBER, "*": SCORE}


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's `metrics.jsonl`, without a last line truncated by a crash.

    Raises:
        UserError: any other line is malformed, or a value is of the wrong kind.
    """
    path = directory / "metrics.jsonl"
    lines: list[dict[str, Any]] = []
    texts = _contents(path).decode("utf-8", "replace").splitlines()
    for number, text in enumerate(texts, start=1):
        where = f"{path}, line {number}"
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as error:
            if number == len(texts):
                break
            raise UserError(f"{where}: must be an object with a step; correct or remove the line") from error
        if not isinstance(line, dict):
            raise UserError(f"{where}: must be an object with a step; correct or remove the line")
        if problem := wrong_entry(line, _ENTRIES):
            raise UserError(f"{where}: {problem}; correct or remove the line")
        lines.append(line)
    return lines


def training_speed(lines: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the median of the logged training speeds in rows per second; None without any."""
    speeds = [line["train/examples_per_second"] for line in lines if line.get("train/examples_per_second") is not None]
    return statistics.median(speeds) if speeds else None


def rewind_metrics(directory: Path, step: int, evaluated_step: int) -> None:
    """Drop the lines that a run resumed at `step` will log again.

    These are the lines after `step`, the scores of the test split, and an evaluation at `step` if the checkpoint was
    saved before it: the checkpoint includes evaluations up to `evaluated_step`.
    """

    def is_kept(line: dict[str, Any]) -> bool:
        is_repeated = line["step"] > evaluated_step and "eval/loss" in line
        return line["step"] <= step and not is_repeated and "test/loss" not in line

    kept = [line for line in read_metrics(directory) if is_kept(line)]
    replace_file(directory / "metrics.jsonl", map(json.dumps, kept))


def mark_metrics(directory: Path) -> dict[str, Any]:
    """Flush `metrics.jsonl` to disk, and return a mark that identifies its contents in a later, longer file."""
    path = directory / "metrics.jsonl"
    contents = _contents(path)
    if contents:
        flush(path)
    return {
        "lines": contents.count(b"\n"),
        "bytes": len(contents),
        "sha256": hashlib.sha256(contents).hexdigest(),
    }


def missing_metrics(directory: Path, mark: Mapping[str, Any], step: int) -> str | None:
    """Return what `metrics.jsonl` has lost since the `mark` at `step`; None if nothing is missing."""
    path = directory / "metrics.jsonl"
    contents = _contents(path)[: mark["bytes"]]
    if hashlib.sha256(contents).hexdigest() == mark["sha256"]:
        return None
    found = sum(line["step"] <= step for line in read_metrics(directory))
    lines = f"{found} of the {mark['lines']} lines up to step {step}"
    state = f"has only {lines}" if found < mark["lines"] else f"has been changed up to step {step}"
    return f"{path} {state if path.exists() else f'is missing ({lines})'}; the run continues without the rest"


def _contents(path: Path) -> bytes:
    if not path.exists():
        return b""
    if not path.is_file():
        raise UserError(f"'{path}' is not a file")  # opening a pipe would block
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error
