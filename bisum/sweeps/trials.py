"""The trials of a search as jobs of its sweep: asked for, begun, and told to Optuna when their runs have ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bisum.config.jobs import Job, signature_of
from bisum.config.provenance import Trial
from bisum.config.schema import Config
from bisum.config.search import Choice, Search
from bisum.config.sweep import Sweep
from bisum.errors import UserError, complain
from bisum.interfaces.score import split_score_name
from bisum.interfaces.trainer import AUTO
from bisum.runs.record import readable_record
from bisum.sweeps.record import SweepRecord

_MOST_REPEATS = 10
"""Trials in a row that compute what a job has computed, after which values are drawn at random instead."""
_MOST_DRAWS = 200
"""Such trials in a row after which the space counts as exhausted."""


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
    """The trials of a search, seen by a process that works on its sweep."""

    def __init__(self, sweep: Sweep, record: SweepRecord) -> None:
        """Open the study.

        Raises:
            UserError: its storage cannot be opened, or it holds another search.
        """
        from bisum.sweeps.study import JOURNAL, Study

        assert sweep.search is not None
        self.search, self._record = sweep.search, record
        options, config = self.search.options, self.search.base.config
        described = record.contents["search"]
        self._id, self._name = described["id"], described["study"]
        self.place = options.storage or str(record.directory.absolute() / JOURNAL)
        self._is_exhausted = False
        directions = [direction(config, name) for name in options.objectives]
        self.study = Study(self.place, self._name, options, self.search.space, directions, described["described"])

    @property
    def total(self) -> int:
        """Jobs that this sweep has, or will have if no other sweep shares its study."""
        if self._is_exhausted:
            return len(self._record.jobs)
        others = sum(not job.startswith(f"{self._id}/") for job in self.study.jobs())
        return max(len(self._record.jobs), self.search.options.trials - others)

    def reconcile(self) -> None:
        """Tell Optuna what it has missed: runs that have ended, and trials whose process ended before a job began."""
        from optuna.trial import TrialState

        def tell(_: int) -> None:
            known = {entry["trial"] for entry in self._record.jobs}
            jobs = self.study.jobs().items()
            lost = [trial for job, trial in jobs if job.startswith(f"{self._id}/") and trial.number not in known]
            if self.search.options.storage is None:  # in a database, it may be one of another process
                lost += self.study.unassigned()
            for trial in lost:
                self.study.tell(trial.number, None, TrialState.FAIL)
            for number, entry in enumerate(self._record.jobs):
                if entry["status"] in ("finished", "pruned"):
                    self.tell(number, entry["status"])

        self._record.add(tell)

    def next(self) -> int | None:
        """Add the job of another trial to the record, and return its number; None if the search is over."""
        return None if self._is_exhausted else self._record.add(self._choose)

    def is_over(self) -> bool:
        """Return whether there will be no further trials."""
        return self._is_exhausted or len(self.study.jobs()) >= self.search.options.trials

    def begin(self, number: int) -> Trial | None:
        """Return the trial that a job reports to, a new one if its last has failed; None if it reports to none."""
        trial = self._record.jobs[number]["trial"]
        if self.study.trial(trial).state.is_finished():
            trial = self.study.again(trial)
            self._record.change(number, trial=trial)
        options = self.search.options
        if len(options.objectives) > 1:
            return None
        return Trial(place=self.place, study=self._name, number=trial, options=options)

    def tell(self, number: int, status: str) -> None:
        """Close the trial of a job that has ended."""
        from optuna.trial import TrialState

        trial = self._record.jobs[number]["trial"]
        if self.study.trial(trial).state.is_finished():
            return
        if status == "pruned":
            self.study.tell(trial, None, TrialState.PRUNED)
            return
        values = None
        if status == "finished":
            values = values_of(readable_record(self._record.path(number)), self.search.options.objectives)
            if values is None:
                names = " and ".join(self.search.options.objectives)
                complain(f"job {number}: its run has no value of {names}; the search counts it as failed")
        self.study.tell(trial, values, TrialState.COMPLETE if values else TrialState.FAIL)

    def label(self, number: int) -> str:
        """Return the values of a trial in a few words, numbers with four digits."""
        words = [word.partition("=") for word in self._record.jobs[number]["words"]]
        return " ".join(f"{key}={_brief(value)}" for key, _, value in words if key in self.search.space)

    def _choose(self, number: int) -> tuple[Job, int] | None:
        """Ask for a trial that no job has computed yet."""
        from optuna.trial import TrialState

        before = {entry["signature"]: at for at, entry in enumerate(self._record.jobs)}
        for draw in range(_MOST_DRAWS):
            if self.is_over() or self._has_all(len(before)):
                return None
            trial, values = self.study.ask(at_random=draw >= _MOST_REPEATS)
            try:
                job = self.search.job(values, number)
            except UserError as error:
                complain(f"trial {trial}: {error}")
                self.study.tell(trial, None, TrialState.FAIL)
                continue
            signature = signature_of(job)
            if signature not in before:
                self.study.assign(trial, f"{self._id}/{number}", str(self._record.directory.absolute()))
                return job, trial
            known = values_of(readable_record(self._record.path(before[signature])), self.search.options.objectives)
            self.study.tell(trial, known, TrialState.COMPLETE if known else TrialState.FAIL)
        self._is_exhausted = True
        complain(f"no further combination of values was found in {_MOST_DRAWS} draws; the search ends")
        return None

    def _has_all(self, jobs: int) -> bool:
        """Return whether the jobs are all combinations of listed values."""
        counts = [len(found.words) if isinstance(found, Choice) else math.inf for found in self.search.space.values()]
        self._is_exhausted = jobs >= math.prod(counts)
        return self._is_exhausted


def direction(config: Config, name: str) -> Literal["maximize", "minimize"]:
    """Return Optuna's name of the direction of an objective, whose configuration is checked."""
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


def _brief(value: str) -> str:
    """Return a number with four digits, and any other value as it is."""
    try:
        return f"{float(value):.4g}" if "." in value or "e" in value else value
    except ValueError:
        return value
