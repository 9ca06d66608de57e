"""The checked jobs of a sweep: those that a command line lists, or those that a sweep's record holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from bisum.config.as_typed import typed
from bisum.config.composition import Composer
from bisum.config.earlier_run import refuse_two_runs
from bisum.config.hydra_node import comes_with_hydra, is_launched_by_bisum
from bisum.config.hydra_safety import plain_node
from bisum.config.identity import changes_number, free_keys, signature
from bisum.config.jobs import Job, directory_of, distinguishing_words
from bisum.config.options import SearchOptions, SweepOptions
from bisum.config.overrides import check_number, swept
from bisum.config.recording import mask_composed
from bisum.config.schema import SCHEMAS
from bisum.config.search import EXTENDABLE, Search, search_of
from bisum.config.sweep_jobs import job_of_record, job_of_words, options_of
from bisum.errors import UserError, complain, without_secrets
from bisum.interfaces.progress import ShowProgress, no_progress
from bisum.runs.sweep import RECORD, read_sweep, record_of_job

FromRecord: TypeAlias = Callable[[Mapping[str, Any], int], Job]


@dataclass(frozen=True)
class Sweep:
    """A sweep and its checked jobs."""

    composed: DictConfig
    """The configuration that the jobs share, `hydra` node included."""
    options: SweepOptions
    jobs: list[Job] | None
    """All jobs, or those that a search has begun; None if a sweeper plugin chooses them as it goes."""
    words: Sequence[str] = ()
    """The settings of its command line as typed, without secrets."""
    repeated: Sequence[str] = field(default_factory=list)
    """A line for each listed job that computes the same as an earlier one, and so is none of its own."""

    is_resumed: bool = False
    """Whether the jobs come from the sweep's record."""
    search: Search | None = None
    """What chooses further jobs; None: all are listed."""
    from_record: FromRecord | None = None
    """Returns a job from the sweep's record and its number, as another process may have added some."""
    given: Sequence[str] = ()
    """The words that it is resumed with, without secrets."""

    @property
    def log(self) -> str:
        """What the terminal shows."""
        return str(self.composed.get("log"))

    @property
    def example(self) -> Job:
        """A job, for what all of them share."""
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
        """Whether Hydra must run it, since its sweeper or launcher is a plugin."""
        return not _is_ours(self.composed)


def listed_sweep(composer: Composer, overrides: Sequence[Override], progress: ShowProgress = no_progress) -> Sweep:
    """Return a sweep with all of its jobs, composed and checked; `progress` shows how many are.

    Raises:
        UserError: a line for each thing that is wrong with the first job that is wrong.
    """
    refuse_two_runs(overrides)
    composed = composer.compose_sweep(overrides)
    options = options_of(composed, "sweep", SweepOptions, overrides)
    words = _words_of(overrides)
    is_ours = _is_ours(composed)
    if not is_ours:
        _refuse_settings(composer, options)
    if not comes_with_hydra(composed.hydra, "sweeper"):
        subdirectory = OmegaConf.to_container(composed.hydra.sweep)["subdir"]  # type: ignore[index,call-overload]
        if "${" not in str(subdirectory):
            raise UserError(_shared(subdirectory))
        return Sweep(composed, options, None, words)
    if (searched := _search(composer, composed, options, overrides)) is not None:
        composed.hydra.sweep.dir = searched.base.composed.hydra.sweep.dir
        secret = [override for override in overrides if without_secrets(typed(override)) != typed(override)]
        from_record = partial(job_of_record, composer, composed, secret)
        mask_composed(composed)
        return Sweep(composed, options, [], words, search=searched, from_record=from_record)
    listed = _combinations(composer, composed, options, overrides)
    jobs: list[Job] = []
    repeated: list[tuple[list[str], int]] = []
    numbers: dict[str, int] = {}
    folders: set[str] = set()
    with progress("checking the jobs", len(listed)) as bar:
        for done, own in enumerate(listed, start=1):
            directory = jobs[0].composed.hydra.sweep.dir if jobs else None
            job = job_of_words(composer, own, len(jobs), directory)
            bar.advance(done)
            key = signature(composer.command, job.config.provenance.resolved)
            if is_ours and (first := numbers.setdefault(key, len(jobs))) < len(jobs):
                repeated.append((job.words, first))
                continue
            if job.folder in folders:
                raise UserError(_shared(job.folder))
            folders.add(job.folder)
            if outer := next((str(path) for path in Path(job.folder).parents if str(path) in folders), None):
                raise UserError(f"hydra.sweep.subdir: '{job.folder}' is inside '{outer}', the folder of another job")
            jobs.append(job)
    composed.hydra.sweep.dir = jobs[0].composed.hydra.sweep.dir
    mask_composed(composed)
    return Sweep(composed, options, jobs, words, _repetitions(repeated, jobs))


def sweep_of_record(
    directory: str, config_dir: str | None, words: Sequence[str], *, checks_jobs: bool = True
) -> tuple[Composer, Sweep]:
    """Return the sweep that the record in a directory holds, and what composes its command.

    Args:
        directory: the sweep's directory.
        config_dir: the folder of `--config-dir`; None: the one in the record, if it exists.
        words: the words of the command line, which name the directory as `resume=`.
        checks_jobs: see `resumed_sweep`.

    Raises:
        UserError: a line for each thing that is wrong.
    """
    path = Path(directory).expanduser()
    record = read_sweep(path)
    if record["command"] not in SCHEMAS or record["command"] == "summarize":
        raise UserError(f"'{path / RECORD}': command must be one that bisum -m runs, as bisum wrote it")
    recorded = record["config_dir"]
    folder = config_dir or (recorded if recorded and Path(recorded).is_dir() else None)  # listed jobs need none of it
    composer = Composer(record["command"], folder)
    return composer, resumed_sweep(composer, str(path), record, composer.parse(words), checks_jobs=checks_jobs)


def resumed_sweep(
    composer: Composer,
    directory: str,
    record: Mapping[str, Any],
    overrides: Sequence[Override],
    *,
    checks_jobs: bool = True,
) -> Sweep:
    """Return the sweep that a record holds, with its jobs checked anew; `overrides` name the record as `resume=`.

    Args:
        composer: composes the command of the record.
        directory: the sweep's directory.
        record: its `sweep.json`.
        overrides: the words of the command line.
        checks_jobs: whether all jobs are built and checked now, and not each when it begins.

    Raises:
        UserError: a line for each thing that is wrong; words that would change what a job computes.
    """
    given = [override for override in overrides if override.key_or_group != "resume"]
    incomplete = {".".join(map(str, path)) for path in _not_recorded(record)}
    _refuse_changes(record, given, incomplete)
    cache = composer.compose_sweep([o for o in given if o.key_or_group not in EXTENDABLE]).cache_dir
    earlier = _earlier(composer, record, given)
    composed = _composed_again(composer, record, earlier, given)
    if not _is_ours(composed):
        raise UserError(f"resume: Hydra's plugins ran the sweep in '{directory}'; bisum cannot continue it")
    options = options_of(composed, "sweep", SweepOptions, given)
    with open_dict(composed):
        composed.hydra.sweep.dir = directory
        composed.cache_dir = cache  # the record may be a stranger's, and names a folder to write to
    from_record = partial(job_of_record, composer, composed, given)
    search = None
    if record["search"] is not None:
        is_masked = ["search", "storage"] in (record["shared"].get("masked") or ())
        if is_masked and not any(o.key_or_group == "search.storage" for o in given):
            raise UserError("search.storage: the record lacks its password; give search.storage=URL again")
        search = _search(composer, composed, options, [*earlier, *given], directory)
        _check_base(search, record, directory)
    jobs = [from_record(record, number) for number in range(len(record["jobs"]) if checks_jobs else 0)]
    mask_composed(composed)
    return Sweep(
        composed,
        options,
        jobs,
        record["words"],
        is_resumed=True,
        search=search,
        from_record=from_record,
        given=_words_of(given),
    )


def _search(
    composer: Composer,
    composed: DictConfig,
    options: SweepOptions,
    overrides: Sequence[Override],
    directory: str | None = None,
) -> Search | None:
    """Return the search that a configuration asks for; None if its jobs are listed."""
    if OmegaConf.select(composed, "search", throw_on_resolution_failure=False) is None:
        return None
    if not is_launched_by_bisum(composed.hydra):
        raise UserError("hydra/launcher: a search needs one of bisum's own launchers: local, slurm or basic")
    chosen = options_of(composed, "search", SearchOptions, overrides)
    return search_of(composer, composed, [*_parameters(composer, composed), *overrides], chosen, options, directory)


def _check_base(search: Search | None, record: Mapping[str, Any], directory: str) -> None:
    """Refuse to continue a search with trials that could not be compared with its first ones."""
    before = record["search"]["described"]
    now = None if search is None else search.described()
    if now != before:
        differs = next((key for key in before if now is None or now[key] != before[key]), "space")
        what = {"space": "another space", "settings": "other settings of search"}.get(differs, "another configuration")
        raise UserError(
            f"'{Path(directory) / RECORD}': its words now compose to {what}, so new trials could not be compared with "
            "its first ones; restore the YAML files, or start another search"
        )


def _words_of(overrides: Sequence[Override]) -> list[str]:
    """Return overrides as typed, without secrets."""
    return [without_secrets(typed(override)) for override in overrides]


def _refuse_changes(record: Mapping[str, Any], given: Sequence[Override], incomplete: Collection[str]) -> None:
    """Refuse words that would change the jobs of a sweep."""
    is_search = record["search"] is not None
    for override in given:
        key = override.key_or_group
        is_fixed = key in ("sweep", "sweep.zip", "sweep.jobs") or (changes_number(key) and key not in incomplete)
        if key.partition(".")[0] == "search":
            is_fixed = not is_search or key not in EXTENDABLE
        is_hydras = override.is_hydra_override() and not (
            key.startswith("hydra.launcher.") and "hydra/launcher=slurm" in record["words"]
        )
        if key.startswith("hydra.launcher."):  # more memory, another partition
            is_fixed = False
        if is_fixed or override.is_delete() or is_hydras:
            may = [*free_keys(), *(EXTENDABLE if is_search else ()), *sorted(incomplete)]
            raise UserError(
                f"'{without_secrets(typed(override))}': the jobs of a sweep keep their settings when it is resumed; "
                f"only {', '.join(dict.fromkeys(may))} may change"
            )


def _is_ours(composed: DictConfig) -> bool:
    """Return whether bisum runs a sweep, and not a plugin of Hydra's."""
    return comes_with_hydra(composed.hydra, "sweeper") and is_launched_by_bisum(composed.hydra)


def _refuse_settings(composer: Composer, options: SweepOptions) -> None:
    """Refuse settings of a sweep that a plugin of Hydra's runs, to which they mean nothing."""
    usual = options_of(composer.compose_sweep(()), "sweep", SweepOptions, ())
    for key, value in asdict(options).items():
        if value != getattr(usual, key):
            raise UserError(f"sweep.{key}: a plugin of Hydra's runs this sweep, and ignores sweep; leave it out")


def _not_recorded(record: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """Yield the paths of values that the record of a sweep has as expressions, or without their secrets."""
    for of_job in (record["shared"], *(record_of_job(record, job) for job in record["jobs"])):
        for listed in ("from_environment", "masked"):
            yield from (path for path in of_job.get(listed) or () if isinstance(path, list))


def _earlier(composer: Composer, record: Mapping[str, Any], given: Sequence[Override]) -> list[Override]:
    """Return the words of a record that none given replaces; the cache is a folder of the machine it ran on."""
    keys = {"cache_dir", *(override.key_or_group for override in given)}
    return [override for override in composer.parse(record["words"]) if override.key_or_group not in keys]


def _composed_again(
    composer: Composer, record: Mapping[str, Any], earlier: Sequence[Override], given: Sequence[Override]
) -> DictConfig:
    """Return what the words of a record compose to now, for the settings of Hydra and of the sweep.

    Listed jobs have configurations of their own in the record, so words that no longer compose are only reported.
    """
    try:
        return composer.compose_sweep([*earlier, *given])
    except UserError as error:
        if record["search"] is not None:  # which composes further trials
            raise
        complain(f"the words in {RECORD} no longer compose ({error}); the jobs run as recorded, with Hydra's defaults")
        kept = [override for override in earlier if override.key_or_group.partition(".")[0] == "sweep"]
        return composer.compose_sweep([*kept, *given])


def _parameters(composer: Composer, composed: DictConfig) -> list[Override]:
    """Return the swept keys that YAML gives, in `hydra.sweeper.params`."""
    given = plain_node(composed.hydra, "sweeper")["params"] or {}
    return composer.parse([f"{key}={_word(value)}" for key, value in given.items()])


def _combinations(
    composer: Composer, composed: DictConfig, options: SweepOptions, overrides: Sequence[Override]
) -> list[list[Override]]:
    """Return the overrides of each job: those of `sweep.jobs`, each with every combination of the swept values."""
    parameters = _parameters(composer, composed)
    listed: list[list[Override]] = []
    for number, words in enumerate(options.jobs or [[]]):
        try:
            own = composer.parse(words)
            for override in own:
                if override.is_hydra_override() or override.key_or_group.partition(".")[0] in ("hydra", "sweep"):
                    raise UserError(f"'{typed(override)}': belongs to the whole sweep; give it beside sweep.jobs")
        except UserError as error:
            raise UserError(f"sweep.jobs[{number}]: {error}") from error
        listed += swept([*parameters, *own, *overrides], options.zip)
        check_number(len(listed))
    return listed


def _repetitions(repeated: Sequence[tuple[list[str], int]], jobs: Sequence[Job]) -> list[str]:
    """Return a line for each job that is listed again."""
    own = distinguishing_words([*(words for words, _ in repeated), *(job.words for job in jobs)])
    return [
        f"'{words}' computes the same as job {first}, so it does not run separately"
        for words, (_, first) in zip(own, repeated, strict=False)
    ]


def _shared(subdirectory: Any) -> str:
    return f"hydra.sweep.subdir: '{subdirectory}' is the same for several jobs; each job needs a directory of its own"


def _word(value: Any) -> str:
    """Return a value of `hydra.sweeper.params` as a word's."""
    return "null" if value is None else str(value)
