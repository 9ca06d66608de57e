"""Optuna's study of a search: storage, samplers and trials.

Trials are created with ask and closed with tell, Optuna's interface for programs that run trials themselves. Optuna's
heartbeats do not work with this interface; the run directory shows whether a trial is still running.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from bisum.config.options import SearchOptions
from bisum.config.search import Choice, Dimension
from bisum.errors import UserError, one_line, without_secrets

JOURNAL = "optuna.journal"
"""Name of the file of trials in the sweep's directory."""
Direction: TypeAlias = Literal["maximize", "minimize"]
_JOB = "job"
"""Attribute of a trial: its sweep and job number."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class _Lock:
    """A lock on the journal; the system releases it even if the process is killed."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = journal.with_name(f".{journal.name}.lock")

    def acquire(self) -> bool:
        """Wait for the lock, and remove a last line truncated by a power failure or a full disk.

        Optuna cannot read such a line or, once another line is appended to it, the rest of the journal.
        """
        self._file = self._lock.open("a+")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError), self._journal.open("rb+") as journal:
            end = journal.seek(0, os.SEEK_END)
            while end and (journal.seek(end - 1), journal.read(1))[1] != b"\n":
                end -= 1
            journal.truncate(end)
        return True

    def release(self) -> None:
        """Release the lock."""
        self._file.close()


def open_storage(place: str) -> BaseStorage:
    """Return the storage at a URL, or in the journal file at a path.

    Raises:
        UserError: it cannot be used.
    """
    with _storage_errors(place):
        if "://" in place:
            return get_storage(place)
        lock = _Lock(Path(place))
        lock.acquire()  # which repairs the file
        lock.release()
        return JournalStorage(JournalFileBackend(place, lock_obj=lock))  # type: ignore[arg-type]  # only its methods


@contextmanager
def _storage_errors(place: str) -> Iterator[None]:
    """Raise `UserError` for any error of a storage or its driver."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        where = f"search.storage: '{without_secrets(place)}'" if "://" in place else f"'{place}'"
        message = without_secrets(one_line(error))[:300]
        if isinstance(error, ImportError):
            message = f"{message} (for postgresql: pip install psycopg2-binary)"
        if "://" not in place and isinstance(error, ValueError | KeyError | TypeError):
            message = "the file is damaged; remove it and resume the search to restore its trials from the runs"
        raise UserError(f"{where} cannot be used: {message}") from error


class Study:
    """A study; `ask` and `retry` are called under the lock of the sweep's record.

    All methods raise `UserError` if the storage fails.
    """

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
            space: the search space.
            directions: maximize or minimize, for each objective.
            described: identity of the search, equal in all processes that share the study.

        Raises:
            UserError: the storage cannot be opened, or the study belongs to another search.
        """
        self._options, self._space, self._place = options, space, place
        storage = open_storage(place)
        with _storage_errors(place), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns that metric names are experimental
            self.study = optuna.create_study(
                storage=storage, study_name=name, directions=[*directions], load_if_exists=True
            )
            known = self.study.user_attrs.get("bisum")
            if known is None:
                self.study.set_user_attr("bisum", dict(described))
            self.study.set_metric_names(options.objectives)
        if known not in (None, described):
            raise UserError(f"search.study: '{name}' belongs to another search; choose another name")

    def ask(self, *, at_random: bool = False) -> tuple[int, dict[str, Any]]:
        """Create a trial; return its number and values, which depend on the seed, the number and earlier trials."""
        with _storage_errors(self._place):
            self.study.sampler = self._sampler(0, at_random)
            trial = self.study.ask()
            self.study.sampler = self._sampler(trial.number, at_random)
            # Trial has no public method that accepts a distribution.
            return trial.number, {
                key: trial._suggest(key, distribution) for key, distribution in self._distributions().items()
            }

    def restore(self, values: Mapping[str, Any], job: str, directory: str) -> int:
        """Create a trial for a job whose trial is missing, and return its number."""
        attributes = {_JOB: job, "directory": directory}
        return self._add(dict(values), self._distributions(), attributes, {}, {})

    def assign(self, number: int, job: str, directory: str) -> None:
        """Record the job of a trial and the directory of its sweep."""
        with _storage_errors(self._place):
            trial_id = self.trial(number)._trial_id
            self.study._storage.set_trial_user_attr(trial_id, _JOB, job)
            self.study._storage.set_trial_user_attr(trial_id, "directory", directory)

    def retry(self, number: int) -> int:
        """Create a trial for the retry of a job whose trial has failed, and return its number."""
        with _storage_errors(self._place):
            trial = self.trial(number)
            return self._add(
                trial.params,
                trial.distributions,
                trial.user_attrs,
                trial.system_attrs,
                trial.intermediate_values,
            )

    def tell(self, number: int, values: Sequence[float] | None, state: TrialState) -> None:
        """Close a trial, unless it is already closed."""
        with _storage_errors(self._place):
            if not self.trial(number).state.is_finished():
                self.study.sampler = RandomSampler()  # a grid sampler would try to stop Optuna's own loop
                self.study.tell(number, values, state=state)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials."""
        with _storage_errors(self._place):
            return self.study.get_trials(deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """Return a trial; raises `UserError` if it does not exist."""
        try:
            return self.trials()[number]
        except IndexError as error:
            raise UserError(f"the study '{self.study.study_name}' has no trial {number}") from error

    @staticmethod
    def job(trial: FrozenTrial) -> str:
        """Return a trial's sweep and job number as `SWEEP/NUMBER`; "" if it has no job."""
        return str(trial.user_attrs.get(_JOB, ""))

    def unassigned(self) -> list[FrozenTrial]:
        """Return the open trials without a job, whose process ended before it recorded one."""
        with _storage_errors(self._place):
            running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            return [trial for trial in running if _JOB not in trial.user_attrs]

    def best(self) -> list[FrozenTrial]:
        """Return the best trial or, for two objectives, the Pareto front."""
        with _storage_errors(self._place):
            if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
                return []
            return list(self.study.best_trials) if len(self.study.directions) > 1 else [self.study.best_trial]

    def _add(
        self,
        params: dict[str, Any],
        distributions: dict[str, BaseDistribution],
        user_attrs: dict[str, Any],
        system_attrs: dict[str, Any],
        intermediate_values: dict[int, float],
    ) -> int:
        """Create an open trial, and return its number."""
        with _storage_errors(self._place):
            created = create_trial(
                state=TrialState.RUNNING,
                params=params,
                distributions=distributions,
                user_attrs=user_attrs,
                system_attrs=system_attrs,
                intermediate_values=intermediate_values,
            )
            self.study.add_trial(created)
            return max(other.number for other in self.trials() if self.job(other) == user_attrs[_JOB])

    def _distributions(self) -> dict[str, BaseDistribution]:
        """Return the search space as Optuna's distributions."""
        found: dict[str, BaseDistribution] = {}
        for key, dimension in self._space.items():
            if isinstance(dimension, Choice):
                found[key] = CategoricalDistribution([*dimension.arguments])
            elif dimension.is_whole:
                found[key] = IntDistribution(int(dimension.low), int(dimension.high), log=dimension.is_log)
            else:
                found[key] = FloatDistribution(dimension.low, dimension.high, log=dimension.is_log)
        return found

    def _sampler(self, number: int, at_random: bool) -> BaseSampler:
        """Return the sampler of a trial, seeded by its number, so that all processes draw the same values."""
        options = self._options
        seed = (options.seed * 1_000_003 + number) % 2**32
        if at_random or options.sampler == "random":
            return RandomSampler(seed=seed)
        if options.sampler == "grid":
            listed = {key: [*found.arguments] for key, found in self._space.items() if isinstance(found, Choice)}
            return GridSampler(listed, seed=options.seed)
        if options.sampler == "cmaes":
            startup = max(1, options.startup_trials)
            return CmaEsSampler(n_startup_trials=startup, warn_independent_sampling=False, seed=seed)
        return TPESampler(n_startup_trials=options.startup_trials, seed=seed)
