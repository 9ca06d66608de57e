"""Sweeps with a Hydra plugin, such as Optuna or joblib: Hydra runs the sweep, and bisum runs each job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.config.checking import OPTIONAL_GROUPS
from bisum.config.composition import Composer
from bisum.config.hydra_node import runs_in_processes
from bisum.config.jobs import distinguishing_arguments, single_job
from bisum.config.overrides import quoted
from bisum.config.recording import mask_composed
from bisum.config.sweep import Sweep
from bisum.config.typed_text import argument_for_hydra
from bisum.config.user_files import with_guarded_folders
from bisum.display.console import Console
from bisum.errors import Failed, UserError, one_line, reason, without_secrets
from bisum.printing import clean_standard_streams
from bisum.records.run import claim
from bisum.runs.record import readable_record
from bisum.sweeps.execution import release_memory, report_error
from bisum.sweeps.report import report


def run_with_plugins(
    composer: Composer, overrides: Sequence[Override], sweep: Sweep, import_function: Callable[[], Callable[..., Any]]
) -> int:
    """Run a sweep with the configured sweeper and launcher; return 0 if all jobs have finished, otherwise 1.

    Hydra's own launcher replaces bisum's, which runs only jobs listed in advance.

    Raises:
        UserError: the sweep's directory cannot be used, or the sweeper rejects its arguments.
        Failed: a process of the launcher was killed.
    """
    directory = Path(sweep.directory)
    claim(directory, "hydra.sweep.dir")
    function = import_function()
    listed = [job.arguments for job in sweep.jobs or []]
    done: list[Path] = []

    def task(_: DictConfig) -> float | None:
        clean_standard_streams()  # a launcher can run the job in another process
        hydra = HydraConfig.get()
        own = [argument.lstrip("+") for argument in hydra.overrides.task]
        of = f" of {len(listed)}" if listed else ""  # a sweeper chooses its jobs as it runs
        shown = [without_secrets(argument) for argument in own]
        distinguishing = distinguishing_arguments([shown, *listed] if len(listed) > 1 else [shown])[0]
        Console().rule(f"job {hydra.job.num}{of}: {distinguishing}")
        directory_of_job = Path(hydra.runtime.output_dir)
        done.append(directory_of_job)
        try:
            _mask_files(directory_of_job / str(hydra.output_subdir))
            parsed = composer.parse([*hydra.overrides.hydra, *own])
            config = single_job(composer, parsed, directory.name, (hydra.job.num, str(hydra.job.id))).config
            score: float | None = function(config, directory_of_job)
            return score
        except Exception as error:
            report_error(error)
            return None
        finally:
            release_memory()

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    settled = composer.settled(overrides, sweep.composed)
    arguments = [_for_hydra(override, composer, sweep.composed) for override in settled]
    if runs_in_processes(sweep.composed.hydra):
        arguments = [
            *(argument for argument in arguments if argument and not argument.startswith("hydra/launcher=")),
            "hydra/launcher=basic",
        ]
    try:
        batches = hydra.multirun(
            composer.command, task, [*filter(None, arguments), f"hydra.sweep.dir={quoted(sweep.directory)}"]
        )
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(f"hydra/sweeper: {one_line(error)}") from error
    except BrokenExecutor as error:  # the results of the other jobs are lost, but not their records
        report(directory, sorted(record.parent for record in directory.rglob("run.json")))
        raise Failed(f"hydra/launcher: {reason(error)}") from error
    finally:
        _mask_files(directory)
    returned = [result for batch in batches or [] for result in batch]  # Optuna's sweeper returns none
    results = [Path(result.hydra_cfg.hydra.runtime.output_dir) for result in returned]
    jobs = results or done
    report(directory, jobs)
    return int(any(readable_record(job).get("status") != "finished" for job in jobs))


def _mask_files(folder: Path) -> None:
    """Mask the secrets in URLs in Hydra's YAML files in a folder."""
    for path in folder.glob("*.yaml"):
        written = OmegaConf.load(path)
        mask_composed(written)
        OmegaConf.save(written, path)


def _for_hydra(override: Override, composer: Composer, composed: DictConfig) -> str | None:
    """Return an argument in Hydra's form: `++` adds a new key, and a group cannot be null (None here)."""
    key, argument = override.key_or_group, argument_for_hydra(with_guarded_folders(override))
    if key in OPTIONAL_GROUPS and argument == f"{key}=null":
        return None
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    is_key = override.package is None and "/" not in key and key not in composer.group_names
    is_new = is_key and not (OmegaConf.is_dict(node) and name in node)
    return (
        f"++{argument}"
        if is_new and not argument.startswith(("+", "~")) and not override.is_hydra_override()
        else argument
    )
