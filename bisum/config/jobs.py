"""Turn arguments from the command line or a Python caller into checked jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.config.composition import Composer
from bisum.config.continuation import continued, refuse_another_experiment, resumed_run
from bisum.config.earlier_run import based_on_run, refuse_two_runs
from bisum.config.hydra_app import global_hydra
from bisum.config.identity import signature
from bisum.config.messages import one_line_of
from bisum.config.overrides import literal
from bisum.config.recording import mask_composed
from bisum.config.schema import Config
from bisum.config.targets import take_allow_targets
from bisum.config.typed_text import typed
from bisum.errors import UserError


@dataclass(frozen=True)
class Job:
    """One composed and checked job."""

    arguments: list[str]
    """The arguments of the job."""
    composed: DictConfig
    """The composed configuration, including the `hydra` node."""
    config: Config
    resumes: Path | None = None
    """The run directory to resume, if any."""
    folder: str = ""
    """The job's folder in its sweep's directory, if any."""

    @property
    def is_sweep(self) -> bool:
        """Whether YAML requests a sweep (`hydra.mode`, `sweep.jobs`)."""
        return bool(self.composed.hydra.mode == RunMode.MULTIRUN or self.config.sweep.jobs)

    @property
    def shown(self) -> DictConfig:
        """The configuration to show as YAML; interpolations are resolved only if it comes from a run."""
        if self.resumes is not None or getattr(self.config, "run", None) is not None:
            shown = OmegaConf.create(literal(dict(self.config.provenance.resolved)))
            assert isinstance(shown, DictConfig)
            return shown
        return OmegaConf.masked_copy(self.composed, [str(key) for key in self.composed if key != "hydra"])


def single_job(
    composer: Composer, overrides: Sequence[Override], sweep: str | None = None, numbered: tuple[int, str] | None = None
) -> Job:
    """Return the job of a command line without a sweep: a new run, or one to resume.

    For a job that a Hydra plugin lists, `sweep` is the name of its sweep, and `numbered` its number and id.

    Raises:
        UserError: a line for each problem.
    """
    refuse_two_runs(overrides)
    resumed = resumed_run(overrides)
    if resumed is not None:
        refuse_another_experiment(resumed, overrides)
    composed = composer.compose(overrides)
    if composed.hydra.mode is None:
        composed.hydra.mode = RunMode.RUN
    if numbered is not None:
        composed.hydra.job.num, composed.hydra.job.id = numbered
    if resumed is not None:
        config = continued(composer, composed, resumed, overrides)
    else:
        config = based_on_run(composer, composed, overrides, sweep)
    mask_composed(composed)
    return Job([typed(override) for override in overrides], composed, config, Path(resumed) if resumed else None)


def signature_of(job: Job) -> str:
    """Return the signature of a job: equal for jobs with equal results."""
    provenance = job.config.provenance
    return signature(provenance.command, provenance.recorded.config)


def distinguishing_arguments(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return each job's arguments that are not common to all jobs, as one text; `defaults` if there are none."""
    shared = set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()
    return [" ".join(argument for argument in arguments if argument not in shared) or "defaults" for arguments in jobs]


def directory_of(composed: DictConfig, key: str) -> str:
    """Return the directory in `key`; raises `UserError` if it cannot be resolved."""
    try:
        directory = str(OmegaConf.select(composed, key, throw_on_missing=True))
    except OmegaConfBaseException as error:
        raise UserError(f"{key}: {one_line_of(error)}") from error
    if not directory:
        raise UserError(f"{key}: expected a directory, not ''")
    return directory


def configure(composer: Composer, arguments: Sequence[str]) -> Config:
    """Return the checked configuration of arguments given in Python, based on the run in `run=`, if any.

    With `run=`, `config.model.checkpoint` is the checkpoint to use and `config.run` the given value.

    Raises:
        UserError: a line for each problem.
    """
    if isinstance(arguments, str):
        raise UserError(f"'{arguments}': expected a list of arguments, ['{arguments}']")
    # A caller in Python is as trusted as the command line, so it can allow targets.
    overrides = composer.parse(take_allow_targets(arguments))
    job = single_job(composer, overrides)
    if job.is_sweep:
        raise UserError("hydra.mode: expected one configuration, not a sweep")
    return job.config


def compose(overrides: Sequence[str] = (), *, config_dir: str | None = None) -> Config:
    """Return the checked configuration of command-line arguments.

    Args:
        overrides: `group=option` and `key=value` arguments, such as `["model=tiny", "trainer.epochs=1"]`.
        config_dir: a folder of further YAML files; they replace bisum's own files of the same names.

    Raises:
        UserError: an unknown key or option, a wrong type or a value out of range.
    """
    with global_hydra():
        return configure(Composer("train", config_dir), overrides)
