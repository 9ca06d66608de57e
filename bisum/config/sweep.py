"""A sweep and its checked jobs, listed on the command line or chosen by a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from bisum.config.composition import Composer
from bisum.config.earlier_run import refuse_two_runs
from bisum.config.hydra_node import is_hydras_own, is_launched_by_bisum
from bisum.config.hydra_safety import plain_node
from bisum.config.identity import signature
from bisum.config.jobs import Job, directory_of, distinguishing_arguments
from bisum.config.options import SearchOptions, SweepOptions
from bisum.config.overrides import check_number, swept
from bisum.config.recording import mask_composed
from bisum.config.search import Search, search_of
from bisum.config.sweep_jobs import job_of_arguments, job_of_record, options_of
from bisum.config.typed_text import typed
from bisum.errors import UserError, without_secrets
from bisum.interfaces.progress import ShowProgress, no_progress

FromRecord: TypeAlias = Callable[[Mapping[str, Any], int], Job]


@dataclass(frozen=True)
class Sweep:
    """A sweep and its checked jobs."""

    composed: DictConfig
    """The configuration shared by the jobs, including the `hydra` node."""
    options: SweepOptions
    jobs: list[Job] | None
    """All jobs, or the ones that a search has started; None if a sweeper plugin chooses them as it runs."""
    arguments: Sequence[str] = ()
    """The command-line arguments as typed, without secrets."""
    repeated: Sequence[str] = field(default_factory=list)
    """A line for each listed job with the same results as an earlier one, which is dropped."""

    is_resumed: bool = False
    """Whether the jobs come from the sweep's record."""
    search: Search | None = None
    """The search that chooses further jobs; None: all are listed."""
    from_record: FromRecord | None = None
    """Function that returns a job from the sweep's record and a number; another process can add jobs there."""
    given: Sequence[str] = ()
    """The arguments of `resume=`'s command line, without secrets."""

    @property
    def log(self) -> str:
        """The terminal output of the sweep: info, debug or quiet."""
        return str(self.composed.get("log"))

    @property
    def example(self) -> Job:
        """One job, as a source of settings shared by all."""
        if self.search is not None:
            return self.search.base
        assert self.jobs
        return self.jobs[0]

    @property
    def directory(self) -> str:
        """The directory of the sweep; raises `UserError` if it cannot be resolved."""
        return directory_of(self.composed, "hydra.sweep.dir")

    @property
    def uses_plugin(self) -> bool:
        """Whether Hydra must run the sweep, since its sweeper or launcher is a plugin."""
        return not runs_in_bisum(self.composed)


def listed_sweep(composer: Composer, overrides: Sequence[Override], progress: ShowProgress = no_progress) -> Sweep:
    """Return a sweep with all of its jobs composed and checked; `progress` displays their number.

    Raises:
        UserError: a line for each problem of the first invalid job.
    """
    refuse_two_runs(overrides)
    composed = composer.compose_sweep(overrides)
    options = options_of(composed, "sweep", SweepOptions, overrides)
    arguments = arguments_without_secrets(overrides)
    runs_here = runs_in_bisum(composed)
    if not runs_here:
        _refuse_settings(composer, options)
    if not is_hydras_own(composed.hydra, "sweeper"):
        subdirectory = OmegaConf.to_container(composed.hydra.sweep)["subdir"]  # type: ignore[index,call-overload]
        if "${" not in str(subdirectory):
            raise UserError(_shared_folder(subdirectory))
        _refuse_uploads(composed)
        return Sweep(composed, options, None, arguments)
    if (searched := requested_search(composer, composed, options, overrides)) is not None:
        _refuse_uploads(composed)
        composed.hydra.sweep.dir = searched.base.composed.hydra.sweep.dir
        secret = [override for override in overrides if without_secrets(typed(override)) != typed(override)]
        from_record = partial(job_of_record, composer, composed, secret)
        mask_composed(composed)
        return Sweep(composed, options, [], arguments, search=searched, from_record=from_record)
    listed = _combinations(composer, composed, options, overrides)
    jobs: list[Job] = []
    repeated: list[tuple[list[str], int]] = []
    numbers: dict[str, int] = {}
    taken = _Taken()
    with progress("checking the jobs", len(listed)) as bar:
        for done, own in enumerate(listed, start=1):
            directory = jobs[0].composed.hydra.sweep.dir if jobs else None
            job = job_of_arguments(composer, own, len(jobs), directory)
            bar.advance(done)
            key = signature(composer.command, job.config.provenance.resolved)
            if runs_here and (first := numbers.setdefault(key, len(jobs))) < len(jobs):
                repeated.append((job.arguments, first))
                continue
            taken.add(job)
            jobs.append(job)
    composed.hydra.sweep.dir = jobs[0].composed.hydra.sweep.dir
    mask_composed(composed)
    return Sweep(composed, options, jobs, arguments, _repetitions(repeated, jobs))


@dataclass
class _Taken:
    """The places to which the jobs of a sweep write."""

    folders: set[str] = field(default_factory=set)
    repositories: set[str | None] = field(default_factory=set)

    def add(self, job: Job) -> None:
        """Add the places of a job; raise `UserError` if another job writes there."""
        if job.folder in self.folders:
            raise UserError(_shared_folder(job.folder))
        self.folders.add(job.folder)
        if outer := next((str(path) for path in Path(job.folder).parents if str(path) in self.folders), None):
            raise UserError(f"hydra.sweep.subdir: '{job.folder}' is inside '{outer}', the folder of another job")
        hub = job.config.hub
        if hub.push and hub.repo_id in self.repositories:
            raise UserError(
                f"hub.repo_id: several jobs would upload to '{hub.repo_id}'; give each its own, such as "
                "'hub.repo_id=me/mt5-${hydra.job.num}', or upload the best run afterwards with bisum push"
            )
        if hub.push:
            self.repositories.add(hub.repo_id)


def requested_search(
    composer: Composer,
    composed: DictConfig,
    options: SweepOptions,
    overrides: Sequence[Override],
    directory: str | None = None,
) -> Search | None:
    """Return the search in a configuration; None if its jobs are listed."""
    if OmegaConf.select(composed, "search", throw_on_resolution_failure=False) is None:
        return None
    if not is_launched_by_bisum(composed.hydra):
        raise UserError("hydra/launcher: a search needs one of bisum's own launchers: local, slurm or basic")
    chosen = options_of(composed, "search", SearchOptions, overrides)
    return search_of(composer, composed, [*_parameters(composer, composed), *overrides], chosen, options, directory)


def arguments_without_secrets(overrides: Sequence[Override]) -> list[str]:
    """Return overrides as typed, without secrets."""
    return [without_secrets(typed(override)) for override in overrides]


def runs_in_bisum(composed: DictConfig) -> bool:
    """Return whether bisum runs a sweep, not a Hydra plugin."""
    return is_hydras_own(composed.hydra, "sweeper") and is_launched_by_bisum(composed.hydra)


def _refuse_settings(composer: Composer, options: SweepOptions) -> None:
    """Refuse sweep settings if a Hydra plugin runs the sweep, since it ignores them."""
    defaults = options_of(composer.compose_sweep(()), "sweep", SweepOptions, ())
    for key, value in asdict(options).items():
        if value != getattr(defaults, key):
            raise UserError(f"sweep.{key}: has no effect with a Hydra plugin as launcher or sweeper; omit it")


def _refuse_uploads(composed: DictConfig) -> None:
    """Refuse uploads by jobs that are chosen as the sweep runs, whose repositories are unknown."""
    if OmegaConf.select(composed, "hub.push", throw_on_resolution_failure=False):
        raise UserError(
            "hub.push: not supported in a search or with a sweeper plugin, whose jobs are not known in advance; upload "
            "the best run afterwards with bisum push"
        )


def _parameters(composer: Composer, composed: DictConfig) -> list[Override]:
    """Return the swept keys from YAML, in `hydra.sweeper.params`."""
    given = plain_node(composed.hydra, "sweeper")["params"] or {}
    return composer.parse([f"{key}={_argument(value)}" for key, value in given.items()])


def _combinations(
    composer: Composer, composed: DictConfig, options: SweepOptions, overrides: Sequence[Override]
) -> list[list[Override]]:
    """Return the overrides of each job: every entry of `sweep.jobs` with every combination of swept values."""
    parameters = _parameters(composer, composed)
    listed: list[list[Override]] = []
    for number, arguments in enumerate(options.jobs or [[]]):
        try:
            own = composer.parse(arguments)
            for override in own:
                if override.is_hydra_override() or override.key_or_group.partition(".")[0] in ("hydra", "sweep"):
                    raise UserError(f"'{typed(override)}': applies to the whole sweep; move it out of sweep.jobs")
        except UserError as error:
            raise UserError(f"sweep.jobs[{number}]: {error}") from error
        listed += swept([*parameters, *own, *overrides], options.zip)
        check_number(len(listed))
    return listed


def _repetitions(repeated: Sequence[tuple[list[str], int]], jobs: Sequence[Job]) -> list[str]:
    """Return a line for each repeated job."""
    own = distinguishing_arguments([*(arguments for arguments, _ in repeated), *(job.arguments for job in jobs)])
    return [
        f"'{arguments}' is equivalent to job {first} and does not run again"
        for arguments, (_, first) in zip(own, repeated, strict=False)
    ]


def _shared_folder(subdirectory: Any) -> str:
    return f"hydra.sweep.subdir: '{subdirectory}' is the same for several jobs; each job needs its own directory"


def _argument(value: Any) -> str:
    """Return a value of `hydra.sweeper.params` as text for an argument."""
    return "null" if value is None else str(value)
