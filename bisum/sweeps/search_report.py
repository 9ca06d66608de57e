"""Report of a search: its best trials, the commands that rerun them, and where to see all trials."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bisum.display.console import Console
from bisum.display.tables import new_table
from bisum.display.terminal import relative_path
from bisum.errors import without_secrets
from bisum.interfaces.trainer import AUTO
from bisum.runs.record import readable_record
from bisum.sweeps.record import SweepRecord
from bisum.sweeps.report import report_work
from bisum.sweeps.trials import Trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_MAX_COMMANDS = 5
"""Maximum number of command lines printed for a Pareto front."""


def report_end(record: SweepRecord, trials: Trials | None) -> int:
    """Compare the jobs of a sweep, report failures and the best trials of a search, and return the exit code."""
    code = report_work(record, trials)
    if trials is not None:
        report_search(trials, record)
    return code


def report_search(trials: Trials, record: SweepRecord) -> None:
    """Print the best trials, their command lines, and the command that shows all trials."""
    console, search = Console(), trials.search
    best = trials.study.best()
    if search.base.config.log == "quiet" and not best:
        return
    if trials.is_exhausted and trials.total < search.options.trials:
        console.print(f"\nthe {trials.total} jobs cover all combinations of values", soft_wrap=True)
    names = [_name(name, record) for name in search.options.objectives]
    if len(names) > 1 and best:
        number = "1 job" if len(best) == 1 else f"{len(best)} jobs"
        console.print(f"\nPareto front: {number} that no other job beats in both objectives", soft_wrap=True)
        table = new_table("job")
        for name in (*names, "values"):
            table.add_column(name)
        for trial in best:
            table.add_row(trials.name(trial), *(f"{value:.2f}" for value in trial.values), _values(trial))
        console.print(table)
    elif best:
        console.print(
            f"\nbest job {trials.name(best[0])}: {names[0]} {best[0].value:.2f} with {_values(best[0])}", soft_wrap=True
        )
    for trial in best[:_MAX_COMMANDS]:
        command = search.command_of(trial.params)
        settings = f"no command line reproduces it exactly; see {relative_path(trials.run_directory(trial))}/run.json"
        shown = shlex.join(["bisum", *command]) if command else settings
        console.print(f"run it again     {shown}", soft_wrap=True)
    place = without_secrets(trials.place) if search.options.storage else str(relative_path(Path(trials.place)))
    console.print(
        f"all trials       {shlex.join(['optuna-dashboard', place])}  (pip install optuna-dashboard)", soft_wrap=True
    )


def _name(objective: str, record: SweepRecord) -> str:
    """Return the name of an objective's score."""
    if objective != AUTO:
        return objective
    runs = (readable_record(record.path(number)) for number in range(len(record.jobs)))
    return next((str(run["best_metric"]) for run in runs if "best_metric" in run), objective)


def _values(trial: FrozenTrial) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.params.items()
    )
