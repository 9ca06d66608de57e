"""The checked jobs of a sweep that its record holds: what `resume=` continues."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict

from bisum.config.composition import Composer
from bisum.config.identity import changes_number, free_keys
from bisum.config.options import SweepOptions
from bisum.config.recording import mask_composed
from bisum.config.schema import SCHEMAS
from bisum.config.search import EXTENDABLE, Search
from bisum.config.sweep import Sweep, arguments_without_secrets, asked_search, is_ours
from bisum.config.sweep_jobs import job_of_record, options_of
from bisum.config.typed_text import typed
from bisum.errors import UserError, complain, without_secrets
from bisum.runs.sweep import RECORD, read_sweep, record_of_job


def sweep_of_record(
    directory: str, config_dir: str | None, arguments: Sequence[str], *, checks_jobs: bool = True
) -> tuple[Composer, Sweep]:
    """Return the sweep that the record in a directory holds, and what composes its command.

    Args:
        directory: the sweep's directory.
        config_dir: the folder of `--config-dir`; None: the one in the record, if it exists.
        arguments: the arguments of the command line, which name the directory as `resume=`.
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
    return composer, resumed_sweep(composer, str(path), record, composer.parse(arguments), checks_jobs=checks_jobs)


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
        overrides: the arguments of the command line.
        checks_jobs: whether all jobs are built and checked now, and not each when it begins.

    Raises:
        UserError: a line for each thing that is wrong; arguments that would change what a job computes.
    """
    given = [override for override in overrides if override.key_or_group != "resume"]
    incomplete = {".".join(map(str, path)) for path in _not_recorded(record)}
    _refuse_changes(record, given, incomplete)
    alone = [o for o in given if o.key_or_group not in EXTENDABLE and not o.is_hydra_override()]
    cache = composer.compose_sweep(alone).cache_dir
    earlier = _earlier(composer, record, given)
    composed = _composed_again(composer, record, earlier, given)
    if not is_ours(composed):
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
        search = asked_search(composer, composed, options, [*earlier, *given], directory)
        _check_base(search, record, directory)
    jobs = [from_record(record, number) for number in range(len(record["jobs"]) if checks_jobs else 0)]
    mask_composed(composed)
    return Sweep(
        composed,
        options,
        jobs,
        record["arguments"],
        is_resumed=True,
        search=search,
        from_record=from_record,
        given=arguments_without_secrets(given),
    )


def _check_base(search: Search | None, record: Mapping[str, Any], directory: str) -> None:
    """Refuse to continue a search with trials that could not be compared with its first ones."""
    before = record["search"]["described"]
    now = None if search is None else search.described()
    if now != before:
        differs = next((key for key in before if now is None or now[key] != before[key]), "space")
        what = {"space": "another space", "settings": "other settings of search"}.get(differs, "another configuration")
        raise UserError(
            f"'{Path(directory) / RECORD}': its arguments now compose to {what}, so new trials could not be compared "
            "with its first ones; restore the YAML files, or start another search"
        )


def _refuse_changes(record: Mapping[str, Any], given: Sequence[Override], incomplete: Collection[str]) -> None:
    """Refuse arguments that would change the jobs of a sweep."""
    is_search = record["search"] is not None
    for override in given:
        key = override.key_or_group
        is_fixed = key in ("sweep", "sweep.zip", "sweep.jobs") or (changes_number(key) and key not in incomplete)
        if key.partition(".")[0] == "search":
            is_fixed = not is_search or key not in EXTENDABLE
        is_hydras = override.is_hydra_override() and not (
            key.startswith("hydra.launcher.") and "hydra/launcher=slurm" in record["arguments"]
        )
        if key.startswith("hydra.launcher."):  # more memory, another partition
            is_fixed = False
        if is_fixed or override.is_delete() or is_hydras:
            may = [*free_keys(), *(EXTENDABLE if is_search else ()), *sorted(incomplete)]
            raise UserError(
                f"'{without_secrets(typed(override))}': the jobs of a sweep keep their settings when it is resumed; "
                f"only {', '.join(dict.fromkeys(may))} may change"
            )


def _not_recorded(record: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """Yield the paths of values that the record of a sweep has as expressions, or without their secrets."""
    for of_job in (record["shared"], *(record_of_job(record, job) for job in record["jobs"])):
        for listed in ("from_environment", "masked"):
            yield from (path for path in of_job.get(listed) or () if isinstance(path, list))


def _earlier(composer: Composer, record: Mapping[str, Any], given: Sequence[Override]) -> list[Override]:
    """Return the arguments of a record that none given replaces; the cache is a folder of the machine it ran on."""
    keys = {"cache_dir", *(override.key_or_group for override in given)}
    return [override for override in composer.parse(record["arguments"]) if override.key_or_group not in keys]


def _composed_again(
    composer: Composer, record: Mapping[str, Any], earlier: Sequence[Override], given: Sequence[Override]
) -> DictConfig:
    """Return what the arguments of a record compose to now, for the settings of Hydra and of the sweep.

    Listed jobs have configurations of their own in the record, so arguments that no longer compose are only reported.
    """
    try:
        return composer.compose_sweep([*earlier, *given])
    except UserError as error:
        if record["search"] is not None:  # which composes further trials
            raise
        complain(
            f"the arguments in {RECORD} no longer compose ({error}); the jobs run as recorded, with Hydra's defaults"
        )
        kept = [override for override in earlier if override.key_or_group.partition(".")[0] == "sweep"]
        return composer.compose_sweep([*kept, *given])
