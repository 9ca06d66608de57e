"""Recorded scores of runs on one split: means from `run.json`, row values from Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bisum.comparison.finding import FoundRun, OtherRun
from bisum.display.evaluation_tables import prefix_of
from bisum.errors import UserError, one_line
from bisum.evaluation.row_scores import ROWS_KEY
from bisum.interfaces.score import ROUGE_SCORES, score_name
from bisum.runs.checkpoints import epoch_name
from bisum.runs.entries import WHOLE, is_number
from bisum.runs.lock import is_locked

Floats = NDArray[np.float64]
_MOST = 1e300
"""Scores of at least this size are ignored, since their sum can be infinite."""
_LEAD = re.compile(r"lead-\d{1,9}")


@dataclass(frozen=True)
class ScoredRun:
    """The scores of a run on a split."""

    run: FoundRun
    predictions: str
    """Name of the file in `predictions/`, without suffix."""
    metrics: Mapping[str, Any] = field(repr=False)
    """Recorded metrics."""
    prefix: str
    """Prefix of the metric names: test, eval or baseline."""
    lead: str | None
    """Name of the lead-k file for the same rows; None without one."""
    lead_metrics: Mapping[str, Any] = field(repr=False)
    """Recorded metrics of lead-k, with the prefix `baseline`."""

    @property
    def lead_name(self) -> str:
        """Name of the baseline that the run scored, such as lead-3."""
        return f"lead-{(self.lead or self.predictions).rpartition('lead')[2]}"

    def value(self, name: str, language: str) -> float | None:
        """Return a recorded score; None without one."""
        return _number(self.metrics.get(score_name(self.prefix, name, language=language)))

    def lead_value(self, name: str, language: str) -> float | None:
        """Return a recorded score of lead-k; None without one."""
        return _number(self.lead_metrics.get(score_name("baseline", name, language=language)))


@dataclass(frozen=True)
class RowValues:
    """The values of one score on every row that a system scored."""

    fingerprint: str
    """Hash of the rows: their ids, documents and references."""
    ids: list[str]
    languages: NDArray[np.object_]
    """Shape (rows,)."""
    values: Floats | None
    """Unscaled values: shape (rows,), NaN without a value; (rows, counts) for a score computed from counts; None if the
    score has no row values."""


def scored(run: FoundRun, split: str) -> ScoredRun | OtherRun:
    """Return a run's scores on a split, or the reason why it has none."""
    record, status = run.record, str(run.record.get("status", "unknown"))
    if status == "running" and not is_locked(run.directory):
        status = "killed"
    if status != "finished":
        return OtherRun(run.directory, status, " ".join(filter(None, [_reason(record, status), _reached(record)])))
    k = (run.config.get("evaluation") or {}).get("lead")
    lead = f"lead{k if WHOLE.fits(k) else 0}"  # part of a file name
    baseline: Mapping[str, Any] = record.get("baseline") or {}
    if run.job == "train" and split == "test":
        test = record["test"]
        return ScoredRun(run, f"test-{test['checkpoint']}", test, "test", f"test-{lead}", test)
    if run.job == "train" and split == "validation":
        best = record["best"]
        return ScoredRun(run, f"validation-{epoch_name(best['epoch'])}", best, "eval", f"validation-{lead}", baseline)
    if run.job == "evaluate" and (evaluation := record.get("evaluation")) and evaluation["split"] == split:
        return ScoredRun(run, evaluation["predictions"], evaluation, prefix_of(split), f"{split}-{lead}", baseline)
    system = str(baseline.get("system"))
    if run.job == "baseline" and baseline.get("split") == split and _LEAD.fullmatch(system):
        name = f"{split}-{system.replace('-', '')}"
        return ScoredRun(run, name, baseline, "baseline", None, baseline)
    return OtherRun(run.directory, status, f"has no scores on the {split} split")


def splits_of(run: FoundRun) -> list[str]:
    """Return the splits that a run has scored."""
    return [split for split in ("test", "validation", "train") if isinstance(scored(run, split), ScoredRun)]


def read_rows(run: FoundRun, predictions: str, score: str) -> RowValues:
    """Return the recorded row values of a score.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = _own_file(run, f"{predictions}.scores.parquet")
    try:
        with path.open("rb") as opened, pq.ParquetFile(opened) as file:  # paths can be invalid UTF-8
            fingerprint = (file.schema_arrow.metadata or {}).get(ROWS_KEY.encode())
            names = file.schema_arrow.names
            of_rows = ("id", "language") if score not in names else ("id", "language", score)
            if wrong := next((name for name in of_rows if names.count(name) != 1), None):
                raise UserError(f"'{path}' must have exactly one column '{wrong}'")
            has_score = score in names
            table = file.read(["id", "language", *([score] if has_score else [])])
            return _row_values(table, path, score if has_score else None, fingerprint)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"'{path}' cannot be read: {one_line(error)}") from error


def _row_values(table: pa.Table, path: Path, score: str | None, fingerprint: bytes | None) -> RowValues:
    """Return the values in a table; raises `UserError`, or `ValueError` for text that is not UTF-8."""
    if fingerprint is None or len(table) == 0:
        raise UserError(f"'{path}' {'does not record which rows were scored' if len(table) else 'has no rows'}")
    for name in ("id", "language"):
        if not pa.types.is_string(table[name].type) or table[name].null_count:
            raise UserError(f"'{path}': '{name}' must contain text in every row")
    values = _values(table[score], path, score) if score is not None else None
    return RowValues(
        fingerprint.decode("utf-8", "replace"),
        table["id"].to_pylist(),
        np.array(table["language"].to_pylist(), dtype=object),  # to_numpy would import pandas
        values,
    )


def read_texts(run: FoundRun, predictions: str) -> list[dict[str, Any]]:
    """Return the rows of a predictions file: id, language, document, reference, prediction, ...

    Raises:
        UserError: the file is missing or a line is malformed.
    """
    path = _own_file(run, f"{predictions}.jsonl")
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # texts can contain other line breaks
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be read: {one_line(error)}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        texts = ("id", "language", "document", "reference", "prediction")
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in texts):
            raise UserError(f"'{path}', line {number}: not a bisum prediction")
        rows.append(row)
    return rows


def _own_file(run: FoundRun, name: str) -> Path:
    """Return the path of a file in `predictions/`; reject links that leave the run directory."""
    path = run.directory / "predictions" / name
    if not path.is_file():  # opening a pipe would block
        raise UserError(f"'{path}' is missing")
    if not path.resolve().is_relative_to(run.directory.resolve()):
        raise UserError(f"'{path}' links outside the run directory")
    return path


def _values(column: pa.ChunkedArray, path: Path, score: str) -> Floats:
    """Return values as floats, with lists of counts as a second dimension."""
    if score not in ROUGE_SCORES and (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        if not _is_numeric(column.type.value_type):
            raise UserError(f"'{path}': '{score}' must contain lists of numbers, not of {column.type.value_type}")
        rows: Sequence[Any] = column.to_pylist()
        width = max((len(counts) for counts in rows if counts), default=0)
        if any(counts is not None and len(counts) != width for counts in rows):
            raise UserError(f"'{path}': '{score}' has a different number of counts in some rows")
        counted = np.array([counts or [np.nan] * width for counts in rows], dtype=np.float64)
        counted[~np.isfinite(counted).all(axis=1)] = np.nan  # a row has all counts or none
        return counted
    if not _is_numeric(column.type):
        raise UserError(f"'{path}': '{score}' must contain numbers, not {column.type}")
    numbers = column.cast(pa.float64()).to_numpy()
    return np.where(np.abs(numbers) < _MOST, numbers, np.nan)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _reason(record: Mapping[str, Any], status: str) -> str:
    if status == "running":
        return "the run is in progress."
    if status == "killed":
        return "no process on this machine is running it."
    return str(record.get("reason") or "no reason is recorded.")


def _reached(record: Mapping[str, Any]) -> str:
    """Return the best score of an unfinished run so far."""
    best, name = record.get("best") or {}, record.get("best_metric")
    value = _number(best.get(name))
    return f"Best so far: {name} {value:.2f} at epoch {best['epoch']:.4g}." if value is not None else ""


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) and abs(value) < _MOST else None
