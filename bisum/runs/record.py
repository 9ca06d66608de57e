"""Reader of a run's record, `run.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bisum.errors import UserError
from bisum.runs.entries import (
    CHECKPOINT,
    FILE_NAME,
    FLAG,
    IDENTIFIER,
    LIST,
    NUMBER,
    OBJECT,
    RANGE,
    SCORE,
    SPLIT,
    TEXT,
    TEXTS,
    THREADS,
    WHOLE,
    Kind,
    or_null,
    read_object,
    wrong_entry,
)

_LIMIT = Kind("a whole number", lambda value: WHOLE.fits(value) or str(value).startswith("${oc."))
"""A whole number, or the expression that reads it from the environment."""
_SCORES = {"step?": WHOLE, "epoch?": NUMBER, "*": SCORE}
_ENTRIES = {
    "job": TEXT,
    "status?": TEXT,
    "reason?": or_null(TEXT),
    "exit_code?": or_null(WHOLE),
    "started?": TEXT,
    "finished?": TEXT,
    "config": OBJECT,
    "config.model": OBJECT,
    "config.model.max_document_tokens": _LIMIT,
    "config.model.max_summary_tokens": _LIMIT,
    "config.evaluation?": OBJECT,
    "from_environment?": LIST,
    "masked?": LIST,
    "choices?": OBJECT,
    "choices.*": or_null(TEXT),
    "commit?": or_null(TEXT),
    "seconds?": OBJECT,
    "seconds.*": NUMBER,
    "data?": or_null(OBJECT),
    "data.fingerprint": TEXT,
    "data.rows": OBJECT,
    "data.rows.*": OBJECT,
    "data.rows.*.*": OBJECT,
    "data.rows.*.*.kept": WHOLE,
    "cut?": OBJECT,
    "cut.*": OBJECT,
    "cut.*.documents": WHOLE,
    "cut.*.summaries": WHOLE,
    "cut.*.rows": WHOLE,
    "split?": OBJECT,
    "split.*": OBJECT,
    "split.*.documents": WHOLE,
    "split.*.windows": WHOLE,
    "split.*.rows": WHOLE,
    "device?": TEXT,
    "precision?": TEXT,
    "engine?": TEXT,
    "no_repeat_ngram_size?": WHOLE,
    "parameters?": WHOLE,
    "trained_parameters?": WHOLE,
    "vocabulary?": or_null(OBJECT),
    **{f"vocabulary.{name}": WHOLE for name in ("kept", "of", "parameters_before", "parameters", "saved_bytes")},
    "vocabulary.validation": NUMBER,
    "source?": or_null(OBJECT),
    "source.place": Kind("hub, folder or package", lambda value: value in ("hub", "folder", "package")),
    "source.commit": or_null(TEXT),
    "source.sha256": or_null(OBJECT),
    "source.sha256.*": TEXT,
    "threads?": THREADS,
    "peak_memory?": WHOLE,
    "peak_gpu_memory?": WHOLE,
    "estimate?": or_null(OBJECT),
    "estimate.*": WHOLE,
    "rows_per_second?": or_null(NUMBER),
    "merged?": or_null(TEXT),
    "commands?": TEXTS,
    "profile?": TEXT,
    "overfit?": or_null(OBJECT),
    "overfit.rows": WHOLE,
    "overfit.cut": WHOLE,
    "overfit.steps": WHOLE,
    "overfit.first_loss": SCORE,
    "overfit.loss": SCORE,
    "scores?": OBJECT,
    "scores.*": OBJECT,
    "scores.*.description": TEXT,
    "scores.*.higher_is_better": FLAG,
    "scores.*.range": RANGE,
    "scores.*.scale": NUMBER,
    "scores.*.unit": TEXT,
    "scores.*.metric?": TEXT,
    "best_metric?": TEXT,
    "baseline?": or_null(OBJECT),
    "baseline.system?": TEXT,
    "baseline.split?": TEXT,
    "baseline.*": SCORE,
    "last?": or_null(OBJECT),
    **{f"last.{name}": kind for name, kind in _SCORES.items()},
    "best?": or_null(OBJECT),
    **{f"best.{name}": kind for name, kind in _SCORES.items()},
    "best.epoch": NUMBER,
    "test?": or_null(OBJECT),
    "test.checkpoint": CHECKPOINT,
    "test.*": SCORE,
    "evaluation?": or_null(OBJECT),
    "evaluation.split": SPLIT,
    "evaluation.predictions": FILE_NAME,
    "evaluation.baseline": TEXT,
    "hub?": or_null(OBJECT),
    "hub.*": or_null(TEXT),
    "tracker?": or_null(OBJECT),
    "tracker.id?": IDENTIFIER,
    "tracker.*": or_null(TEXT),
}
_FINISHED = {"data": OBJECT, "profile": TEXT, "baseline": OBJECT, "best_metric": TEXT, "best": OBJECT, "test": OBJECT}
"""Entries that every finished training has recorded."""


def readable_record(run: Path) -> dict[str, Any]:
    """Return a run's record; {} if it is missing or unreadable."""
    try:
        return read_record(run)
    except (UserError, OSError):
        return {}


def read_record(run: str | Path) -> dict[str, Any]:
    """Return the contents of a run directory's `run.json`.

    Raises:
        UserError: the file is missing or unreadable, or an entry is of the wrong kind.
    """
    path = Path(run).expanduser() / "run.json"
    if Path(run).is_file():
        raise UserError(f"'{run}' is a file; give the run directory")
    try:
        record = read_object(path, _ENTRIES)
    except FileNotFoundError as error:
        cause = "not a run directory: it has no run.json" if Path(run).expanduser().is_dir() else "no such directory"
        raise UserError(f"'{run}': {cause}") from error
    if record["job"] == "train" and record.get("status") == "finished" and (problem := wrong_entry(record, _FINISHED)):
        raise UserError(f"'{path}': {problem}; restore the original value")
    return record
