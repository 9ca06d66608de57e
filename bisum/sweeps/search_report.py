"""The end of a search: its best trials, how to run each of them alone, and how to look at all."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from bisum.display.console import Console
from bisum.display.tables import new_table
from bisum.display.terminal import from_here
from bisum.errors import without_secrets
from bisum.interfaces.trainer import AUTO
from bisum.runs.record import readable_record
from bisum.sweeps.record import SweepRecord
from bisum.sweeps.trials import Trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_MOST_COMMANDS = 5
"""The most trials of a Pareto front whose command lines are printed."""


def report_search(trials: Trials, record: SweepRecord) -> None:
    """Print the best trials, their command lines, and the program that shows all trials."""
    console, search = Console(), trials.search
    best = trials.study.best()
    if search.base.config.log == "quiet" and not best:
        return
    names = [_name(name, record) for name in search.options.objectives]
    if len(names) > 1 and best:
        console.print(f"\n{len(best)} jobs are best: no other one surpasses them in both objectives", soft_wrap=True)
        table = new_table("job")
        for name in (*names, "values"):
            table.add_column(name)
        for trial in best:
            table.add_row(_job(trial), *(f"{value:.2f}" for value in trial.values), _values(trial))
        console.print(table)
    elif best:
        console.print(
            f"\nbest job {_job(best[0])}: {names[0]} {best[0].value:.2f} with {_values(best[0])}", soft_wrap=True
        )
    for trial in best[:_MOST_COMMANDS]:
        command = search.command_of(trial.params)
        where = str(trial.user_attrs.get("directory", ""))
        shown = shlex.join(["bisum", *command]) if command else f"in {where}, whose run.json has all settings"
        console.print(f"run it again     {shown}", soft_wrap=True)
    if trials.place == search.options.storage:
        place = without_secrets(trials.place)
    else:
        place = str(from_here(record.directory) / "optuna.journal")
    console.print(
        f"all trials       {shlex.join(['optuna-dashboard', place])}  (pip install optuna-dashboard)", soft_wrap=True
    )


def _name(objective: str, record: SweepRecord) -> str:
    """Return the score that an objective is."""
    if objective != AUTO:
        return objective
    runs = (readable_record(record.path(number)) for number in range(len(record.jobs)))
    return next((str(run["best_metric"]) for run in runs if "best_metric" in run), objective)


def _values(trial: FrozenTrial) -> str:
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in trial.params.items()
    )


def _job(trial: FrozenTrial) -> str:
    """Return the number of a trial's job in its sweep."""
    return str(trial.user_attrs.get("job", "")).rpartition("/")[2]
