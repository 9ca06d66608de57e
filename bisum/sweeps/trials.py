"""The trials of a search as jobs of its sweep: chosen by Optuna, run, and reported back to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bisum.config.jobs import Job, signature_of
from bisum.config.provenance import Trial
from bisum.config.schema import Config
from bisum.config.search import Choice, Search
from bisum.config.sweep import Sweep
from bisum.errors import UserError, complain
from bisum.interfaces.score import split_score_name
from bisum.interfaces.trainer import AUTO
from bisum.runs.record import readable_record
from bisum.runs.sweep import OVER
from bisum.sweeps.record import SweepRecord

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_MAX_REPEATS = 10
"""Repeated combinations in a row after which values are drawn at random."""
_MAX_DRAWS = 50
"""Repeated combinations in a row after which the space counts as exhausted."""


def check_optuna(search: Search) -> None:
    """Raise `UserError` if the extra `search` is not installed."""
    try:
        import optuna  # noqa: F401

        if search.options.sampler == "cmaes":
            import cmaes  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"hparams_search: a search needs {error.name}, which is not installed: pip install 'bisum[search]'"
        ) from error


class Trials:
    """The trials of a search, for a process that works on its sweep."""

    def __init__(self, sweep: Sweep, record: SweepRecord) -> None:
        """Open the study.

        Raises:
            UserError: its storage cannot be opened, or contains another search.
        """
        from bisum.sweeps.study import JOURNAL, Study

        assert sweep.search is not None
        self.search, self._record = sweep.search, record
        options, config = self.search.options, self.search.base.config
        described = record.contents["search"]
        self._id, self._name = described["id"], described["study"]
        self.place = options.storage or str(record.directory.absolute() / JOURNAL)
        self._directory = str(record.directory.absolute())
        self._known_elsewhere = 0
        self._reported: set[str] = set()
        directions = [direction(config, name) for name in options.objectives]
        self.study = Study(self.place, self._name, options, self.search.space, directions, described["described"])

    @property
    def total(self) -> int:
        """Number of jobs of this sweep at its end; other sweeps that share its study can reduce it."""
        jobs = len(self._record.jobs)
        return jobs if self._has_all(jobs) else max(jobs, self.search.options.trials - self._elsewhere())

    def is_over(self) -> bool:
        """Return whether no further trials will be added."""
        return self.total <= len(self._record.jobs)

    def reconcile(self) -> None:
        """Report missed events to Optuna: ended runs, and trials whose process ended before a job began."""
        from optuna.trial import TrialState

        with self._record.locked() as record:
            known = {entry["trial"] for entry in record["jobs"]}
            lost = [
                trial
                for trial in self.study.trials()
                if self.study.job(trial).startswith(f"{self._id}/") and trial.number not in known
            ]
            if self.search.options.storage is None:  # in a database, another process can own it
                lost += self.study.unassigned()
            for trial in lost:
                self.study.tell(trial.number, None, TrialState.FAIL)
            numbers = {trial.number: self.study.job(trial) for trial in self.study.trials()}
            for number, entry in enumerate(record["jobs"]):
                job = f"{self._id}/{number}"
                if numbers.get(entry["trial"]) != job:  # the journal was removed or restored from a copy
                    entry["trial"] = self.study.restore(entry["values"], job, self._directory)
                if entry["status"] in OVER:
                    self.tell(number, entry["status"])

    def next(self) -> int | None:
        """Add a job for another trial to the record, and return its number; None if there is none for now."""
        if self.is_over():
            return None
        try:
            with self._record.locked() as record:
                chosen = self._choose(record)
                return None if chosen is None else self._record.add(*chosen)
        except UserError as error:  # an unreachable database; the next call can succeed
            self._report_once(str(error))
            return None

    def begin(self, number: int) -> Trial | None:
        """Return the trial of a job, a new one if its last has failed; None if the search cannot prune."""
        with self._record.locked() as record:
            entry = record["jobs"][number]
            try:
                if self.study.trial(entry["trial"]).state.is_finished():
                    entry["trial"] = self.study.retry(entry["trial"])
            except UserError as error:
                self._report_once(f"job {number}: {error}")
        options = self.search.options
        if len(options.objectives) > 1:
            return None
        return Trial(place=self.place, study=self._name, number=entry["trial"], options=options)

    def tell(self, number: int, status: str) -> None:
        """Close the trial of a job that has ended."""
        from optuna.trial import TrialState

        objectives = self.search.options.objectives
        values = values_of(readable_record(self._record.path(number)), objectives) if status == "finished" else None
        try:
            with self._record.locked() as record:
                entry = record["jobs"][number]
                state = self.study.trial(entry["trial"]).state
                if state == TrialState.FAIL and values:  # another process considered it lost
                    entry["trial"] = self.study.retry(entry["trial"])
                elif state.is_finished():
                    return
                if status == "pruned":
                    self.study.tell(entry["trial"], None, TrialState.PRUNED)
                    return
                self.study.tell(entry["trial"], values, TrialState.COMPLETE if values else TrialState.FAIL)
        except UserError as error:
            self._report_once(f"job {number}: {error}; resuming the search reports its scores")
            return
        if status == "finished" and values is None:
            complain(
                f"job {number}: its run has no value for {' and '.join(objectives)}; the search counts it as failed"
            )

    def name(self, trial: FrozenTrial) -> str:
        """Return the number of a trial's job, with the directory of its sweep if it is a different one."""
        sweep, _, number = self.study.job(trial).partition("/")
        return number if sweep == self._id else f"{number} in {trial.user_attrs['directory']}"

    def run_directory(self, trial: FrozenTrial) -> Path:
        """Return the run directory of a trial's job."""
        folder = self._record.jobs[int(self.name(trial))]["folder"] if self.name(trial).isdecimal() else ""
        return Path(str(trial.user_attrs["directory"]), folder)

    @property
    def is_exhausted(self) -> bool:
        """Whether no combination of values is left."""
        return self._has_all(len(self._record.jobs))

    def label(self, number: int) -> str:
        """Return the values of a trial as a short label, numbers with four significant digits."""
        arguments = [argument.partition("=") for argument in self._record.jobs[number]["arguments"]]
        return " ".join(f"{key}={_short_value(value)}" for key, _, value in arguments if key in self.search.space)

    def _choose(self, record: dict[str, Any]) -> tuple[Job, int, dict[str, Any]] | None:
        """Return the job, trial and values of a combination that no job has computed yet."""
        from optuna.trial import TrialState

        before = {entry["signature"] for entry in record["jobs"]}
        folders = {entry["folder"] for entry in record["jobs"]}
        number = len(record["jobs"])
        for draw in range(_MAX_DRAWS):
            if self.is_over():  # because another process has added jobs
                return None
            trial, values = self.study.ask(at_random=draw >= _MAX_REPEATS)
            try:
                job = self.search.job(values, number)
            except UserError as error:
                self._report_once(f"trial {trial}: {error}")
            else:
                if job.folder in folders:
                    self._report_once(
                        f"hydra.sweep.subdir: '{job.folder}' is the same for several jobs; trial {trial} is skipped"
                    )
                elif signature_of(job) not in before:
                    self.study.assign(trial, f"{self._id}/{number}", self._directory)
                    return job, trial, values
            self.study.tell(trial, None, TrialState.FAIL)
        record["search"]["is_exhausted"] = True
        complain(f"{_MAX_DRAWS} draws found no new combination of values; the search ends")
        return None

    def _elsewhere(self) -> int:
        """Return the last known number of jobs of other sweeps that share the study."""
        if self.search.options.storage is None:
            return 0
        try:
            jobs = {self.study.job(trial) for trial in self.study.trials()}
            self._known_elsewhere = sum(bool(job) and not job.startswith(f"{self._id}/") for job in jobs)
        except UserError as error:
            self._report_once(str(error))
        return self._known_elsewhere

    def _has_all(self, jobs: int) -> bool:
        """Return whether the jobs cover all combinations of listed values, or the space is exhausted."""
        counts = [
            len(found.arguments) if isinstance(found, Choice) else math.inf for found in self.search.space.values()
        ]
        return jobs >= math.prod(counts) or bool(self._record.contents["search"]["is_exhausted"])

    def _report_once(self, problem: str) -> None:
        """Report a problem, once."""
        if problem not in self._reported:
            self._reported.add(problem)
            complain(problem)


def direction(config: Config, name: str) -> Literal["maximize", "minimize"]:
    """Return Optuna's direction for an objective of a checked configuration."""
    best = config.trainer.best_metric if name == AUTO else name
    score = None if best == AUTO else config.score_of(split_score_name(best)[0])
    return "minimize" if score is not None and score.higher_is_better is False else "maximize"


def values_of(run: Mapping[str, Any], objectives: Sequence[str]) -> list[float] | None:
    """Return the objectives at the best checkpoint of a finished run; None if one has no finite value."""
    if run.get("status") != "finished":
        return None
    found = [(run.get("best") or {}).get(run["best_metric"] if name == AUTO else name) for name in objectives]
    values = [float(value) for value in found if isinstance(value, int | float) and math.isfinite(value)]
    return values if len(values) == len(objectives) else None


def _short_value(value: str) -> str:
    """Return a number with four significant digits, and other values unchanged."""
    try:
        return f"{float(value):.4g}" if "." in value or "e" in value else value
    except ValueError:
        return value
