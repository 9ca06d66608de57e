"""Optuna's study of a search: where its trials are kept, and what chooses and ends them.

Trials are created with ask and closed with tell, Optuna's interface for programs that run trials themselves. Optuna's
heartbeats do not work with it, so that whether a trial still runs is asked of its run directory.
"""

from __future__ import annotations

import fcntl
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from bisum.config.options import SearchOptions
from bisum.config.search import Choice, Dimension
from bisum.errors import UserError, one_line, without_secrets

JOURNAL = "optuna.journal"
"""Name of the file that holds the trials, in the sweep's directory."""
Direction: TypeAlias = Literal["maximize", "minimize"]
_JOB = "job"
"""Attribute of a trial: the sweep and the number of its job."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class _Lock:
    """A lock on the journal that the system releases when its process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}.lock")

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._file = self._path.open("a+")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Release it."""
        self._file.close()


def open_storage(place: str) -> BaseStorage:
    """Return the storage at a URL, or in the journal file at a path.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        if "://" in place:
            return get_storage(place)
        lock = _Lock(Path(place))
        with suppress(FileNotFoundError):
            _drop_cut_line(Path(place), lock)
        return JournalStorage(JournalFileBackend(place, lock_obj=lock))  # type: ignore[arg-type]  # only its methods
    except Exception as error:  # drivers of databases raise what they like
        where = f"search.storage: '{without_secrets(place)}'" if "://" in place else f"'{place}'"
        raise UserError(f"{where} cannot be opened: {without_secrets(one_line(error))[:300]}") from error


def _drop_cut_line(path: Path, lock: _Lock) -> None:
    """Remove a last line that a power cut has cut off, which Optuna could not read."""
    lock.acquire()
    try:
        with path.open("rb+") as file:
            contents = file.read()
            file.truncate(contents.rfind(b"\n") + 1)
    finally:
        lock.release()


class Study:
    """A study; its methods are called by one process at a time, which holds the lock of the sweep's record."""

    def __init__(
        self,
        place: str,
        name: str,
        options: SearchOptions,
        space: Mapping[str, Dimension],
        directions: Sequence[Direction],
        described: Mapping[str, Any],
    ) -> None:
        """Open a study, or create it.

        Args:
            place: URL of a database, or path of a journal file.
            name: name of the study in it.
            options: the settings of the search.
            space: what is searched.
            directions: maximize or minimize, for each objective.
            described: what makes the search this one, which all processes that share the study must agree on.

        Raises:
            UserError: the storage cannot be opened, or the study is another search's.
        """
        self._options, self._space = options, space
        storage = open_storage(place)
        try:
            self.study = optuna.create_study(
                storage=storage, study_name=name, directions=[*directions], load_if_exists=True
            )
            known = self.study.user_attrs.get("bisum")
            if known is None:
                self.study.set_user_attr("bisum", dict(described))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Optuna calls the names experimental
                self.study.set_metric_names(options.objectives)
        except (ValueError, KeyError) as error:
            raise UserError(f"'{without_secrets(place)}' cannot be read: {one_line(error)}") from error
        if known not in (None, described):
            raise UserError(f"search.study: '{name}' holds another search; name another study")

    def ask(self, *, at_random: bool = False) -> tuple[int, dict[str, Any]]:
        """Create a trial; return its number and values, which depend on the seed, its number and the trials before."""
        self.study.sampler = self._sampler(0, at_random)
        trial = self.study.ask()
        self.study.sampler = self._sampler(trial.number, at_random)
        values = {}
        for key, found in self._space.items():
            if isinstance(found, Choice):
                values[key] = trial.suggest_categorical(key, [*found.words])
            elif found.is_whole:
                values[key] = trial.suggest_int(key, int(found.low), int(found.high), log=found.is_log)
            else:
                values[key] = trial.suggest_float(key, found.low, found.high, log=found.is_log)
        return trial.number, values

    def assign(self, number: int, job: str, directory: str) -> None:
        """Note the job of a trial, and where it runs."""
        trial_id = self.trial(number)._trial_id
        self.study._storage.set_trial_user_attr(trial_id, _JOB, job)
        self.study._storage.set_trial_user_attr(trial_id, "directory", directory)

    def again(self, number: int) -> int:
        """Create a trial for another try of a job whose trial has failed, and return its number."""
        trial = self.trial(number)
        self.study.add_trial(
            create_trial(
                state=TrialState.RUNNING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=trial.user_attrs,
                system_attrs=trial.system_attrs,
            )
        )
        job = trial.user_attrs[_JOB]
        return max(other.number for other in self.trials() if other.user_attrs.get(_JOB) == job)

    def tell(self, number: int, values: Sequence[float] | None, state: TrialState) -> None:
        """Close a trial, unless it is closed."""
        if not self.trial(number).state.is_finished():
            self.study.tell(number, values, state=state)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials."""
        return self.study.get_trials(deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """Return a trial; raises `UserError` if there is none of that number."""
        try:
            return self.trials()[number]
        except IndexError as error:
            raise UserError(f"the study '{self.study.study_name}' lacks trial {number}; restore {JOURNAL}") from error

    def jobs(self) -> dict[str, FrozenTrial]:
        """Return the last trial of each job, of whatever process."""
        return {str(trial.user_attrs[_JOB]): trial for trial in self.trials() if _JOB in trial.user_attrs}

    def unassigned(self) -> list[FrozenTrial]:
        """Return the open trials of no job: their process ended before it could record one."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in running if _JOB not in trial.user_attrs]

    def best(self) -> list[FrozenTrial]:
        """Return the best trial, or for two objectives those that no other one surpasses in both."""
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return []
        return list(self.study.best_trials) if len(self.study.directions) > 1 else [self.study.best_trial]

    def _sampler(self, number: int, at_random: bool) -> BaseSampler:
        """Return the sampler for a trial, with a seed of its own: any process draws the same values for it."""
        options = self._options
        seed = (options.seed * 1_000_003 + number) % 2**32
        if at_random or options.sampler == "random":
            return RandomSampler(seed=seed)
        if options.sampler == "grid":
            listed = {key: [*found.words] for key, found in self._space.items() if isinstance(found, Choice)}
            return GridSampler(listed, seed=options.seed)
        if options.sampler == "cmaes":
            startup = max(1, options.startup_trials)
            return CmaEsSampler(n_startup_trials=startup, warn_independent_sampling=False, seed=seed)
        return TPESampler(n_startup_trials=options.startup_trials, seed=seed)


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
        if self._options.pruner is None or evaluation < self._options.min_evaluations:
            return None
        trial = self._study.get_trials(deepcopy=False)[self._number]
        if not self._study.pruner.prune(self._study, trial):
            return None
        rule = {
            "median": "is below what half of the finished trials had reached by then",
            "hyperband": "is not among the best of its Hyperband bracket",
        }[self._options.pruner]
        return f"{value:.4g} at evaluation {evaluation} {rule}"


def _pruner(options: SearchOptions, most_evaluations: int | None) -> optuna.pruners.BasePruner:
    if options.pruner == "median":
        return optuna.pruners.MedianPruner(
            n_startup_trials=options.startup_trials, n_warmup_steps=options.min_evaluations
        )
    if options.pruner == "hyperband":
        most = "auto" if most_evaluations is None else max(most_evaluations, options.min_evaluations)
        return optuna.pruners.HyperbandPruner(min_resource=options.min_evaluations, max_resource=most)
    return optuna.pruners.NopPruner()
