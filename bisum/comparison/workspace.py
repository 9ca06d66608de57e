"""A W&B workspace that shows runs side by side, saved as JSON and uploaded by a separate process.

`python -m bisum.comparison.workspace FILE` uploads a saved workspace and prints its URL.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from bisum.display.terminal import relative_path
from bisum.errors import UserError, complain, one_line, reason
from bisum.interfaces.score import score_name
from bisum.runs.files import replace_file
from bisum.runs.processes import child_environment
from bisum.trackers.wandb_host import environment_mode, host, offline_reason, set_up

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import LinePlot
    from wandb_workspaces.workspaces import Section
    from wandb_workspaces.workspaces.internal import View

_UPLOAD_SECONDS = 60
"""Time limit for the upload of a workspace."""


@dataclass(frozen=True, kw_only=True)
class Saved:
    """Location of a saved workspace."""

    path: Path
    """File of the specification."""
    url: str | None
    """URL of the workspace; None if it was not uploaded."""
    why: str
    """Why it was not uploaded, on one line; "" if it was."""

    @property
    def upload(self) -> str:
        """The command line that uploads the file."""
        python = "python" if shutil.which("python") == sys.executable else sys.executable
        return shlex.join([python, "-m", "bisum.comparison.workspace", str(relative_path(self.path))])


def workspace(
    *,
    entity: str | None,
    project: str,
    name: str,
    groups: Sequence[str],
    swept: Sequence[str],
    languages: Sequence[str],
    scores: Sequence[str],
    best_metric: str,
    baseline: str,
) -> View:
    """Return the specification of a workspace that groups runs by system, which averages over seeds.

    It contains line plots of the scores by epoch with the baseline as a separate line, overall and per language;
    parallel coordinates of the swept settings; bars of each system's best evaluation with the range over its seeds; and
    the table of predictions. W&B concatenates the runs' tables by default. To see the summaries of a document side by
    side, choose "Join" and the column `id` in the settings of that panel.

    Args:
        entity: user or team that owns the project; None: the default of the API key that uploads the workspace.
        project: project of the runs.
        name: title of the workspace.
        groups: the W&B groups of the runs to show, such as the names of sweeps; empty: all runs of the project.
        swept: dotted configuration keys that differ between the runs, such as `trainer.learning_rate`.
        languages: the language codes of the runs.
        scores: scores to plot, such as `rougeL`, `unicode/rougeL` or `chrf`.
        best_metric: the metric that selected the checkpoints, such as `eval/rougeL`.
        baseline: name of the baseline in the titles.

    Raises:
        UserError: wandb-workspaces is not installed or rejects the name.
    """
    with _library():
        import wandb_workspaces.reports.v2.interface as panels
        import wandb_workspaces.workspaces as ws
        from wandb_workspaces.expr import Config
    best = f"best/{best_metric}"
    bars = panels.BarPlot(
        title=f"{best}: mean and range over seeds",
        metrics=[best],
        groupby=panels.Config("system"),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
    )
    columns = [
        panels.ParallelCoordinatesPlotColumn(metric=panels.Config(key), display_name=key.rpartition(".")[2])
        for key in swept
    ]
    columns.append(panels.ParallelCoordinatesPlotColumn(metric=panels.SummaryMetric(best), display_name=best))
    swept_plot = [panels.ParallelCoordinatesPlot(title="swept settings", columns=columns)] if swept else []
    table = panels.WeavePanelSummaryTable(table_name="predictions/validation")
    sections = [
        ws.Section(name="systems", panels=[bars, *swept_plot], is_open=True),
        *(_curves(language, scores, baseline) for language in ("", *languages)),
        ws.Section(name="predictions", panels=[table], is_open=True),
    ]
    runs = ws.RunsetSettings(
        filters=f"Metric('Group') in [{', '.join(map(_quoted, groups))}]" if groups else "",
        groupby=[Config("system")],
        pinned_columns=["run:displayName", f"summary:{best}"],
    )
    try:
        built = ws.Workspace(entity=entity or "", project=project, name=name, sections=sections, runset_settings=runs)
    except ValueError as error:
        raise UserError(f"format=wandb: W&B rejects the workspace '{name}': {one_line(error)}") from error
    return built._to_model()


def save_workspace(specification: View, path: Path, mode: str = "auto") -> Saved:
    """Write a workspace to a JSON file, and upload it if an API key is set and the host responds.

    Args:
        specification: the result of `workspace`.
        path: the file to write.
        mode: auto, online or offline; auto follows WANDB_MODE.
    """
    replace_file(path, [specification.model_dump_json(by_alias=True, exclude_none=True, indent=1)])
    mode = mode if mode != "auto" else environment_mode()
    if mode in ("offline", "disabled"):
        return Saved(path=path, url=None, why="offline, as requested")
    # W&B's library prints, starts processes and keeps its first settings, so it runs in a separate process. The output
    # goes to files because W&B's service would keep a pipe open.
    with TemporaryFile("w+", encoding="utf-8") as out, TemporaryFile("w+", encoding="utf-8") as err:
        try:
            code = subprocess.run(
                [sys.executable, "-P", "-m", "bisum.comparison.workspace", str(path.absolute())],
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                timeout=_UPLOAD_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired:
            return Saved(path=path, url=None, why=f"not uploaded within {_UPLOAD_SECONDS} s")
        out.seek(0)
        err.seek(0)
        url, lines = out.read().strip(), err.read().strip().splitlines() or [f"exit code {code}"]
    if code == 0:
        return Saved(path=path, url=url, why="")
    return Saved(
        path=path, url=None, why=one_line(lines[-1]).removeprefix("bisum: ").removeprefix(f"'{path.absolute()}': ")
    )


def upload_workspace(path: Path) -> str:
    """Upload a workspace written by `save_workspace` as a new view, and return its URL.

    Raises:
        UserError: the file is unreadable, wandb-workspaces is not installed, the API key is missing, or the host
            rejects the workspace.
    """
    with _library():
        import wandb
        import wandb_workspaces.workspaces as ws
        from wandb_workspaces.workspaces import internal
    try:
        view = internal.View.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"'{path}' is not a workspace written by bisum: {one_line(error)}") from error
    set_up()
    why, _ = offline_reason("online", log=None)
    if why is not None:
        raise UserError(f"'{path}': {why}")
    with contextlib.chdir("/"):  # as in `set_up`
        try:
            api = wandb.Api()
            view.entity = view.entity or api.settings["entity"] or api.default_entity or ""
            view.name, view.id = internal._generate_view_name(), ""
            saved = internal.upsert_view2(view)["upsertView"]["view"]
            shown = ws.Workspace(entity=view.entity, project=view.project)
            shown._internal_name = saved["name"]
            return str(shown.url)
        except Exception as error:
            raise UserError(f"'{path}': {host()} rejected the workspace: {reason(error)}") from error


def _curves(language: str, scores: Sequence[str], baseline: str) -> Section:
    """Return the score plots of a language; of all rows if it is ""."""
    import wandb_workspaces.reports.v2.interface as panels
    import wandb_workspaces.workspaces as ws

    def plot(score: str) -> LinePlot:
        return panels.LinePlot(
            title=f"{score}, {language or 'all'} (and {baseline})",
            x="epoch",
            y=[score_name(prefix, score, language=language) for prefix in ("eval", "baseline")],
            title_x="epoch",
        )

    return ws.Section(name=f"scores, {language or 'all'}", panels=[plot(score) for score in scores], is_open=True)


def _quoted(text: str) -> str:
    """Return a literal for W&B's filters, whose parser also rewrites = and < within quotes."""
    escaped = (char if char.isalnum() else f"\\U{ord(char):08x}" for char in text)
    return f"'{''.join(escaped)}'"


@contextlib.contextmanager
def _library() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError("format=wandb: wandb-workspaces is not installed; pip install 'bisum[workspaces]'") from error


def main(arguments: Sequence[str]) -> int:
    """Upload the workspace in a file and print its URL; return the exit code."""
    os.environ["WANDB_SILENT"] = "true"
    os.environ.pop("WANDB_MODE", None)  # this command always uploads
    try:
        if len(arguments) != 1:
            raise UserError("usage: python -m bisum.comparison.workspace FILE")
        with contextlib.redirect_stdout(sys.stderr):
            url = upload_workspace(Path(arguments[0]))
        print(url)
    except UserError as error:
        complain(error)
        return 2
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a normal exit can wait for W&B's service
