"""Names of scores, and `metrics.jsonl`: one line per logged step or evaluation, each with `step` and `epoch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bisum.errors import UserError
from bisum.runs.files import replace_file


def score_name(prefix: str, name: str, *, language: str = "", profile: str = "rouge") -> str:
    """Return the name of a ROUGE score, such as `eval/rougeL`, `eval/es/rougeL` or `eval/unicode/es/rougeL`."""
    return "/".join(filter(None, (prefix, profile if profile != "rouge" else "", language, name)))


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's `metrics.jsonl`, without a last line that a crash truncated.

    Raises:
        UserError: any other line is malformed.
    """
    path = directory / "metrics.jsonl"
    lines: list[dict[str, Any]] = []
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or "step" not in line:
            if number == len(texts):
                break
            raise UserError(f"{path}, line {number}: must be an object with a step; correct or remove the line")
        lines.append(line)
    return lines


def rewind_metrics(directory: Path, step: int, evaluated_step: int) -> None:
    """Drop the lines that a run resumed at `step` will log again.

    These are the lines after `step`, the scores of the test split, and an evaluation at `step` if the checkpoint was
    saved before it: the checkpoint knows no evaluation after `evaluated_step`.
    """

    def stays(line: dict[str, Any]) -> bool:
        unknown = line["step"] > evaluated_step and "eval/loss" in line
        return line["step"] <= step and not unknown and "test/loss" not in line

    kept = [line for line in read_metrics(directory) if stays(line)]
    replace_file(directory / "metrics.jsonl", map(json.dumps, kept))
