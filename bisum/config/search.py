"""A hyper-parameter search: its space, in Hydra's sweep syntax, and the checked jobs of its trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, OmegaConf

from bisum.config.composition import Composer
from bisum.config.jobs import Job, signature_of, single_job
from bisum.config.options import SearchOptions, SweepOptions
from bisum.config.overrides import values_of
from bisum.config.reference import annotations_at
from bisum.config.schema import SCHEMAS
from bisum.config.sweep_jobs import job_of_arguments
from bisum.config.typed_text import Number, typed
from bisum.errors import UserError, without_secrets

_MAX_CHECKED = 100
"""Number of values of a dimension to check before a search starts; others are checked when drawn."""
EXTENDABLE = ("search.trials", "search.storage")
"""Settings that a resumed search can change."""


@dataclass(frozen=True)
class Interval:
    """Numbers between two inclusive bounds."""

    low: float
    high: float
    is_log: bool
    """Whether the values are distributed uniformly on a logarithmic scale."""
    is_whole: bool

    def __str__(self) -> str:
        """Describe the dimension."""
        traits = [name for name, applies in (("whole", self.is_whole), ("logarithmic", self.is_log)) if applies]
        low, high = self.bounds
        return f"{low:g} to {high:g}" + (f" ({', '.join(traits)})" if traits else "")

    @property
    def bounds(self) -> tuple[float, float]:
        """The bounds in the key's type."""
        return (int(self.low), int(self.high)) if self.is_whole else (self.low, self.high)


@dataclass(frozen=True)
class Choice:
    """Values to choose from."""

    arguments: Mapping[Any, str]
    """Each value (a number, text, flag or null) with its text on the command line."""

    def __str__(self) -> str:
        """Describe the dimension."""
        return ", ".join(self.arguments.values())


Dimension: TypeAlias = Interval | Choice


@dataclass(frozen=True)
class Search:
    """A checked search."""

    options: SearchOptions
    space: Mapping[str, Dimension]
    """The dimensions, by dotted key or group."""
    base: Job
    """The job with the first value of each dimension."""
    fixed: Sequence[Override]
    """The overrides shared by all trials."""
    composer: Composer

    @property
    def first(self) -> dict[str, Any]:
        """The values of the base job: first listed values and lower bounds."""
        return {key: _values(found)[0] for key, found in self.space.items()}

    def arguments(self, values: Mapping[str, Any]) -> list[str]:
        """Return values of the dimensions as command-line arguments."""
        return [f"{key}={self._argument(key, value)}" for key, value in values.items()]

    def job(self, values: Mapping[str, Any], number: int) -> Job:
        """Return the checked job of a trial; raises `UserError` for incompatible values."""
        own = self.composer.parse(self.arguments(values))
        return job_of_arguments(self.composer, [*self.fixed, *own], number, str(self.base.composed.hydra.sweep.dir))

    def command_of(self, values: Mapping[str, Any]) -> list[str] | None:
        """Return the arguments that run a trial alone; None if they compose to another configuration.

        This is the case if the file in `hparams_search` sets other keys in addition to the space and search settings.
        """
        of_search = ("hparams_search", "search", "sweep", "hydra")
        kept = [typed(o) for o in self.fixed if o.key_or_group.partition(".")[0].partition("/")[0] not in of_search]
        arguments = [without_secrets(argument) for argument in [*kept, *self.arguments(values)]]
        searched = signature_of(self.job(values, 0))
        try:
            alone = single_job(self.composer, self.composer.parse(arguments))
        except UserError:
            return None
        folder = ["--config-dir", self.composer.config_dir] if self.composer.config_dir else []
        return [*folder, *arguments] if signature_of(alone) == searched else None

    def described(self) -> dict[str, Any]:
        """Return the identity of the search, as plain data."""
        space = {
            key: {"choices": list(found.arguments.values())} if isinstance(found, Choice) else asdict(found)
            for key, found in self.space.items()
        }
        settings = {key: value for key, value in asdict(self.options).items() if f"search.{key}" not in EXTENDABLE}
        base = signature_of(self.base)
        return {"space": space, "settings": settings, "base": base}

    def _argument(self, key: str, value: Any) -> str:
        found = self.space[key]
        return found.arguments[value] if isinstance(found, Choice) else repr(value)


def search_of(
    composer: Composer,
    composed: DictConfig,
    overrides: Sequence[Override],
    options: SearchOptions,
    sweep: SweepOptions,
    directory: str | None,
) -> Search:
    """Return the checked search of a command line.

    Args:
        composer: composes `bisum train`.
        composed: the configuration shared by the jobs.
        overrides: the arguments; sweeps add or replace dimensions, other values remove them.
        options: the settings of the search.
        sweep: the settings of the sweep.
        directory: the sweep's directory; None: from the arguments.

    Raises:
        UserError: a dimension or one of its values is invalid, or does not suit the sampler.
    """
    if composer.command != "train":
        raise UserError(f"hparams_search: bisum {composer.command} cannot be searched; only bisum train can")
    for key in ("jobs", "zip"):
        if getattr(sweep, key):
            raise UserError(f"sweep.{key}: lists jobs, but a search chooses its own; remove it")
    last: dict[str, Override] = {}
    for override in overrides:
        if override.is_sweep_override():
            if override.is_hydra_override():
                raise UserError(f"'{typed(override)}': applies to the whole search; give one value")
            last[override.key_or_group] = override
        else:
            last.pop(override.key_or_group, None)
    if "trainer.best_metric" in last:
        raise UserError("trainer.best_metric: trials with different metrics cannot be compared; give it one value")
    space = {key: _dimension(override, _is_whole(composer, composed, key)) for key, override in last.items()}
    if not space:
        raise UserError(
            "hparams_search: the search space is empty; give a key an interval or values, as in "
            "'trainer.learning_rate=tag(log, interval(1e-5, 1e-3))'"
        )
    _check_sampler(options, space)
    fixed = [override for override in overrides if not override.is_sweep_override()]
    search = Search(options, space, _first_job(composer, space, fixed, directory), fixed, composer)
    if search.job(search.first, 1).folder == search.base.folder:
        raise UserError(
            f"hydra.sweep.subdir: '{search.base.folder}' is the same for several jobs; include the job's number"
        )
    for corner in _corners(space):
        search.job(corner, 0)
    return search


def _first_job(
    composer: Composer, space: Mapping[str, Dimension], fixed: Sequence[Override], directory: str | None
) -> Job:
    arguments = [f"{key}={next(_arguments(found))}" for key, found in space.items()]
    return job_of_arguments(composer, [*fixed, *composer.parse(arguments)], 0, directory)


def _arguments(found: Dimension) -> Iterator[str]:
    yield from found.arguments.values() if isinstance(found, Choice) else map(repr, found.bounds)


def _corners(space: Mapping[str, Dimension]) -> Iterator[dict[str, Any]]:
    """Yield trials that together cover each listed value and both bounds of each interval."""
    listed = {key: _values(found) for key, found in space.items()}
    for number in range(1, min(_MAX_CHECKED, max(map(len, listed.values())))):
        yield {key: values[min(number, len(values) - 1)] for key, values in listed.items()}


def _values(found: Dimension) -> tuple[Any, ...]:
    """Return the listed values, or the bounds of an interval."""
    return (*found.arguments,) if isinstance(found, Choice) else found.bounds


def _dimension(override: Override, is_whole: bool) -> Dimension:
    """Return a dimension of the space."""
    key, swept = override.key_or_group, override._value
    if not isinstance(swept, IntervalSweep):
        listed = [_listed(value) for value in values_of(override)]
        arguments = {argument: argument for _, argument in listed}
        if len({value for value, _ in listed}) == len(arguments):  # not if some are equal, like 1, 1.0 and true
            arguments = dict(listed)
        if any(without_secrets(argument) != argument for argument in arguments.values()):
            raise UserError(f"{key}: a listed value contains a password, which would be written to a file")
        if not arguments:
            raise UserError(f"{key}: '{typed(override)}' matches no values")
        return Choice(arguments)
    low, high = float(swept.start or 0), float(swept.end or 0)
    if tags := swept.tags - {"log"}:
        raise UserError(f"'{typed(override)}': unknown tag '{min(tags)}' (valid: log)")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f"'{typed(override)}': an interval needs two finite bounds, the lower first")
    if "log" in swept.tags and low <= 0:
        raise UserError(f"'{typed(override)}': the lower bound of a logarithmic interval must be above 0")
    is_whole = is_whole or isinstance(swept.start, int)
    if is_whole and not (low.is_integer() and high.is_integer()):
        raise UserError(f"'{typed(override)}': {key} is a whole number; give whole bounds")
    return Interval(low, high, "log" in swept.tags, is_whole)


def _listed(override: Override) -> tuple[Any, str]:
    """Return a listed value for Optuna (a number, flag, null or text), and its argument."""
    value, argument = override._value, typed(override).partition("=")[2]
    if isinstance(value, Number):
        value, argument = value.value, value.text
    is_plain = value is None or (isinstance(value, bool | int | float) and math.isfinite(value))
    return (value if is_plain else argument), argument


def _is_whole(composer: Composer, composed: DictConfig, key: str) -> bool:
    """Return whether a key accepts only whole numbers."""
    values = OmegaConf.to_container(composed)
    assert isinstance(values, dict)
    options = annotations_at(SCHEMAS[composer.command], values, key.split("."))
    return int in options and float not in options


def _check_sampler(options: SearchOptions, space: Mapping[str, Dimension]) -> None:
    """Refuse a space that does not suit the sampler."""
    intervals = [key for key, found in space.items() if isinstance(found, Interval)]
    choices = [key for key in space if key not in intervals]
    if options.sampler == "grid" and intervals:
        raise UserError(f"search.sampler: a grid needs listed values, but {intervals[0]} is an interval")
    if options.sampler == "cmaes":
        if choices:
            raise UserError(f"search.sampler: CMA-ES searches only intervals, but {choices[0]} has listed values")
        if len(intervals) < 2:
            raise UserError("search.sampler: CMA-ES needs at least two intervals; for one, use tpe")
        if len(options.objectives) > 1:
            raise UserError("search.sampler: CMA-ES supports one objective; for two, use tpe")
