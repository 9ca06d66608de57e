"""The trial of a job in the job's own process: it reports intermediate scores and learns whether to stop."""

from __future__ import annotations

import math

import optuna
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection

from bisum.config.options import SearchOptions
from bisum.sweeps.study import open_storage


class Reporter:
    """Access of a job's own process to its trial: reports scores and decides about pruning."""

    def __init__(
        self, place: str, study: str, number: int, options: SearchOptions, max_evaluations: int | None
    ) -> None:
        """Open the study of a trial.

        Args:
            place: URL of a database, or path of a journal file.
            study: name of the study in it.
            number: number of the trial.
            options: the settings of the search.
            max_evaluations: evaluations of a trial that is not pruned; None: unknown.
        """
        self._options = options
        storage = open_storage(place)
        self._study = optuna.load_study(
            study_name=study,
            storage=storage,
            sampler=RandomSampler(),  # draws nothing
            pruner=_pruner(options, max_evaluations),
        )
        self._number = number

    def report(self, evaluation: int, value: float) -> str | None:
        """Record a score of the objective; return why the trial should stop, or None to continue.

        Non-finite scores are not recorded.
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


def _pruner(options: SearchOptions, max_evaluations: int | None) -> optuna.pruners.BasePruner:
    if options.pruner == "median":
        return optuna.pruners.MedianPruner(
            n_startup_trials=options.startup_trials, n_warmup_steps=options.min_evaluations
        )
    if options.pruner == "hyperband":
        most = "auto" if max_evaluations is None else max(max_evaluations, options.min_evaluations)
        return optuna.pruners.HyperbandPruner(min_resource=options.min_evaluations, max_resource=most)
    return optuna.pruners.NopPruner()
