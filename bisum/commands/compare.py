"""`bisum compare`: rank runs, test their differences, and show the rows behind them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from bisum.comparison.breakdown import Where, where
from bisum.comparison.breakdown_tables import breakdown_report
from bisum.comparison.comparing import compared
from bisum.comparison.excluded import listed, pruned_line
from bisum.comparison.finding import expanded, folder_of
from bisum.comparison.formats import as_csv, as_data, as_latex, as_markdown
from bisum.comparison.result import Comparison
from bisum.comparison.tables import report
from bisum.config.options import CompareOptions
from bisum.display.console import Console
from bisum.display.terminal import relative_path
from bisum.errors import UserError, complain
from bisum.runs.files import replace_file

FileFormat: TypeAlias = Literal["markdown", "csv", "json", "latex", "html", "wandb"]
_FORMATS: dict[str, FileFormat] = {
    ".md": "markdown", ".csv": "csv", ".wandb.json": "wandb", ".json": "json", ".tex": "latex", ".html": "html",
}  # fmt: skip
"""Formats by file ending."""
_RECORDS = ("run.json", "metrics.jsonl", "sweep.json")
_MOST_OTHERS = 20


def run(paths: Sequence[str], options: CompareOptions, command: str) -> None:
    """Compare the runs at or below paths, and write the result.

    Args:
        paths: run directories, or folders that contain them.
        options: the settings of the comparison and of its output.
        command: the command line, for the report.

    Raises:
        UserError: a path contains no run, or no run has the score.
    """
    if options.output is not None:
        _check_writable(expanded(options.output))
        options = replace(options, format=_format_of(options))
    comparison = compared(paths, options, importance=options.format not in ("csv", "latex", "wandb"))
    if options.format == "table":
        _show(comparison, options)
        return
    title = ", ".join(Path(path).absolute().name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
    if options.format == "wandb":
        _save_dashboard(comparison, title, expanded(options.output or folder_of(paths) / "comparison.wandb.json"))
        return
    text = _text(comparison, title, options, command)
    if options.format == "html" or options.output is not None:
        path = expanded(options.output or folder_of(paths) / "comparison.html")
        _check_writable(path)
        _write(path, text)
        Console().print(f"written to {relative_path(path)}", soft_wrap=True)
    else:
        _print(text, is_json=options.format == "json")
    if options.format in ("csv", "latex"):
        _report_omissions(comparison)


def _print(text: str, *, is_json: bool) -> None:
    """Write a text to standard output; JSON stays JSON whatever the encoding."""
    if sys.stdout is None:
        raise UserError("standard output is closed; write to a file with output=FILE")
    if is_json and "utf" not in (sys.stdout.encoding or "").lower():
        text = re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)
    sys.stdout.write(text)


def _report_omissions(comparison: Comparison) -> None:
    """Report on standard error the notes and runs that a CSV or LaTeX table omits."""
    for line in comparison.notes:
        complain(line)
    others = listed(comparison)
    for other in others[:_MOST_OTHERS]:
        complain(f"'{relative_path(other.directory)}' is not compared: {other.status}: {other.reason}")
    if (more := len(others) - _MOST_OTHERS) > 0:
        complain(f"{more:,} more runs are not compared; format=json lists them")
    if pruned := pruned_line(comparison):
        complain(pruned)


def _format_of(options: CompareOptions) -> FileFormat:
    """Return the format of the output file: the configured one, otherwise that of its ending."""
    if options.format != "table":
        return options.format
    name = str(options.output)
    found = next((of for ending, of in _FORMATS.items() if name.lower().endswith(ending)), None)
    if found is None:
        raise UserError(f"output: unknown ending; set a format, such as format=markdown, or use {', '.join(_FORMATS)}")
    return found


def _text(comparison: Comparison, title: str, options: CompareOptions, command: str) -> str:
    """Return the comparison in the configured text format."""
    match options.format:
        case "csv":
            return as_csv(comparison)
        case "latex":
            return as_latex(comparison)
        case "markdown":
            return as_markdown(comparison, _where(comparison, options))
        case "json":
            return as_data(comparison, _where(comparison, options))
    from bisum.comparison.details import report_data
    from bisum.comparison.report import html_report

    return html_report(report_data(comparison, _where(comparison, options), title, command))


def _save_dashboard(comparison: Comparison, title: str, path: Path) -> None:
    """Save a W&B workspace, and print its location."""
    from bisum.comparison.dashboard import save_dashboard

    _check_writable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        saved = save_dashboard(comparison, title, path)
    except OSError as error:
        raise UserError(f"output: '{path}' cannot be written: {error.strerror}") from error
    console = Console()
    console.print(f"written to {relative_path(saved.path)}", soft_wrap=True)
    if saved.url is not None:
        console.print(f"saved at {saved.url}", soft_wrap=True)
    else:
        console.print(f"not uploaded: {saved.why}.  Upload: {saved.upload}", soft_wrap=True)


def _show(comparison: Comparison, options: CompareOptions) -> None:
    """Print the tables, then the differences between two systems, whose texts take longer to read."""
    # A mistake in `pair` is reported before anything is printed.
    found = _where(comparison, options) if options.pair is not None else None
    console = Console()
    console.print(*report(comparison), sep="\n")
    if found := found or _where(comparison, options):
        console.print(*breakdown_report(comparison, found), sep="\n")


def _where(comparison: Comparison, options: CompareOptions) -> Where | None:
    """Return where two systems differ; None, with a warning, if no pair is configured and texts are missing."""
    try:
        return where(comparison, options.pair, options.rows)
    except UserError as error:
        if options.pair is not None:
            raise
        complain(f"the rows are not shown: {error}")
        return None


def _check_writable(path: Path) -> None:
    """Refuse anything but a regular file or a new name, and the names of records."""
    if path.name in _RECORDS:
        raise UserError(f"output: '{path}' is a file name that bisum reserves for records; choose another")
    try:
        if path.is_dir():
            raise UserError(f"output: '{path}' is a folder; give a file name")
        if path.exists() and not path.is_file():
            raise UserError(f"output: '{path}' is not a regular file")
    except OSError as error:
        raise UserError(f"output: '{path}' cannot be written: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, [text.removesuffix("\n")], aside=f".{os.getpid()}.partial")  # several processes may write it
    except OSError as error:
        raise UserError(f"output: '{path}' cannot be written: {error.strerror}") from error
