"""A trial as the process that trains it sees it: intermediate scores go in, and whether to stop comes out."""

from __future__ import annotations

import math

import optuna
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection

from bisum.config.options import SearchOptions
from bisum.sweeps.study import open_storage


class Reporter:
    """The trial of a job, as the job's own process sees it: it takes intermediate scores, and says when to stop."""

    def __init__(
        self, place: str, study: str, number: int, options: SearchOptions, most_evaluations: int | None
    ) -> None:
        """Open the study of a trial.

        Args:
            place: URL of a database, or path of a journal file.
            study: name of the study in it.
            number: number of the trial.
            options: the settings of the search.
            most_evaluations: evaluations of a trial that nothing ends early; None: unknown.
        """
        self._options = options
        storage = open_storage(place)
        self._study = optuna.load_study(
            study_name=study,
            storage=storage,
            sampler=RandomSampler(),  # it draws nothing
            pruner=_pruner(options, most_evaluations),
        )
        self._number = number

    def report(self, evaluation: int, value: float) -> str | None:
        """Record a score of the objective; return why the trial is to stop, or None if it is to go on.

        A score that is not finite is not recorded.
        """
        if not math.isfinite(value):
            return None
        trial = self._study.get_trials(deepcopy=False)[self._number]
        self._study._storage.set_trial_intermediate_value(trial._trial_id, evaluation, value)
        if self._options.pruner is None:
            return None
        trial = self._study.get_trials(deepcopy=False)[self._number]
        if not self._study.pruner.prune(self._study, trial):
            return None
        rule = {
            "median": "worse than the median of the finished trials",
            "hyperband": "not among the best of its Hyperband bracket",
        }[self._options.pruner]
        better = max if self._study.direction == StudyDirection.MAXIMIZE else min
        best = better(trial.intermediate_values.values())
        return f"{best:.4g}, the best by evaluation {evaluation}, is {rule}"


def _pruner(options: SearchOptions, most_evaluations: int | None) -> optuna.pruners.BasePruner:
    if options.pruner == "median":
        return optuna.pruners.MedianPruner(
            n_startup_trials=options.startup_trials, n_warmup_steps=options.min_evaluations
        )
    if options.pruner == "hyperband":
        most = "auto" if most_evaluations is None else max(most_evaluations, options.min_evaluations)
        return optuna.pruners.HyperbandPruner(min_resource=options.min_evaluations, max_resource=most)
    return optuna.pruners.NopPruner()
