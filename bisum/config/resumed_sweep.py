"""The checked jobs of a recorded sweep, continued with `resume=`."""

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
from bisum.config.sweep import Sweep, arguments_without_secrets, requested_search, runs_in_bisum
from bisum.config.sweep_jobs import job_of_record, options_of
from bisum.config.typed_text import typed
from bisum.errors import UserError, complain, without_secrets
from bisum.runs.sweep import RECORD, read_sweep, record_of_job


def sweep_of_record(
    directory: str, config_dir: str | None, arguments: Sequence[str], *, checks_jobs: bool = True
) -> tuple[Composer, Sweep]:
    """Return the sweep recorded in a directory, and the composer of its command.

    Args:
        directory: the sweep's directory.
        config_dir: the folder of `--config-dir`; None: the recorded one, if it exists.
        arguments: the command-line arguments, including `resume=`.
        checks_jobs: see `resumed_sweep`.

    Raises:
        UserError: a line for each problem.
    """
    path = Path(directory).expanduser()
    record = read_sweep(path)
    if record["command"] not in SCHEMAS or record["command"] == "summarize":
        raise UserError(f"'{path / RECORD}': bisum -m cannot run the command '{record['command']}'")
    recorded = record["config_dir"]
    folder = config_dir or (recorded if recorded and Path(recorded).is_dir() else None)  # listed jobs do not need it
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
    """Return a recorded sweep with its jobs checked again.

    Args:
        composer: composes the command of the record.
        directory: the sweep's directory.
        record: its `sweep.json`.
        overrides: the command-line arguments, including `resume=`.
        checks_jobs: whether to build and check all jobs now, or each one when it starts.

    Raises:
        UserError: a line for each problem, such as arguments that would change a job's results.
    """
    given = [override for override in overrides if override.key_or_group != "resume"]
    incomplete = {".".join(map(str, path)) for path in _not_recorded(record)}
    _refuse_changes(record, given, incomplete)
    alone = [o for o in given if o.key_or_group not in EXTENDABLE and not o.is_hydra_override()]
    cache = composer.compose_sweep(alone).cache_dir
    earlier = _earlier(composer, record, given)
    composed = _composed_again(composer, record, earlier, given)
    if not runs_in_bisum(composed):
        raise UserError(f"resume: a Hydra plugin ran the sweep in '{directory}'; bisum cannot continue it")
    options = options_of(composed, "sweep", SweepOptions, given)
    with open_dict(composed):
        composed.hydra.sweep.dir = directory
        composed.cache_dir = cache  # an untrusted record could choose a folder to write to
    from_record = partial(job_of_record, composer, composed, given)
    search = None
    if record["search"] is not None:
        is_masked = ["search", "storage"] in (record["shared"].get("masked") or ())
        if is_masked and not any(o.key_or_group == "search.storage" for o in given):
            raise UserError("search.storage: its password is not recorded; give search.storage=URL again")
        search = requested_search(composer, composed, options, [*earlier, *given], directory)
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
    """Refuse to continue a search if new trials would not be comparable with the first ones."""
    before = record["search"]["described"]
    now = None if search is None else search.described()
    if now != before:
        differs = next((key for key in before if now is None or now[key] != before[key]), "space")
        what = {"space": "another space", "settings": "other search settings"}.get(differs, "another configuration")
        raise UserError(
            f"'{Path(directory) / RECORD}': its arguments now compose to {what}, so new trials would not be comparable "
            "with the first ones; restore the YAML files or start another search"
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
            allowed = [*free_keys(), *(EXTENDABLE if is_search else ()), *sorted(incomplete)]
            raise UserError(
                f"'{without_secrets(typed(override))}': a resumed sweep keeps the settings of its jobs; only "
                f"{', '.join(dict.fromkeys(allowed))} can change"
            )


def _not_recorded(record: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    """Yield the paths of values that a sweep's record contains as expressions or without their secrets."""
    for of_job in (record["shared"], *(record_of_job(record, job) for job in record["jobs"])):
        for listed in ("from_environment", "masked"):
            yield from (path for path in of_job.get(listed) or () if isinstance(path, list))


def _earlier(composer: Composer, record: Mapping[str, Any], given: Sequence[Override]) -> list[Override]:
    """Return the recorded arguments that are not replaced; the cache folder belongs to the original machine."""
    keys = {"cache_dir", *(override.key_or_group for override in given)}
    return [override for override in composer.parse(record["arguments"]) if override.key_or_group not in keys]


def _composed_again(
    composer: Composer, record: Mapping[str, Any], earlier: Sequence[Override], given: Sequence[Override]
) -> DictConfig:
    """Return the current composition of a record's arguments, for the settings of Hydra and the sweep.

    Arguments that fail to compose are only reported if the jobs are listed, since the record has their configurations.
    """
    try:
        return composer.compose_sweep([*earlier, *given])
    except UserError as error:
        if record["search"] is not None:  # a search composes further trials
            raise
        complain(
            f"the arguments in {RECORD} no longer compose ({error}); the jobs run as recorded, with Hydra's defaults"
        )
        kept = [override for override in earlier if override.key_or_group.partition(".")[0] == "sweep"]
        return composer.compose_sweep([*kept, *given])
