"""Importance: how much each differing setting matters for the score."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bisum.comparison.settings import Settings, comparable
from bisum.runs.entries import is_number

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

METHOD = "PED-ANOVA"
SOURCE = "Watanabe et al. 2023, arXiv:2304.10255"
FEWEST_SYSTEMS = 8
"""Minimum number of systems for which importance is computed.

In the simulations of `tests/benchmarks/importance.py`, one of three settings of the same kind determines the score. It
has the largest share in 69 to 89% of the studies of 8 systems, and in 66 to 85% of those of 6. A setting with two
options beside numeric ones has it in 35%, which is chance, and in 64% with 20 systems.
"""
SYSTEMS_PER_SETTING = 2
"""Minimum number of systems per setting; with fewer, noise makes some setting look important."""
_BETTER_SHARE = 0.5
"""Share of the systems that count as better.

Optuna's default, a tenth, leaves one system of ten, so any of its settings looks important. In the simulations above,
with 8 systems, it finds the decisive setting in 26 to 61%; a half finds it most often.
"""
_LOG_RATIO = 10
"""Positive numbers that span at least this ratio are put on a log scale."""
_LARGEST = 1e300
"""Largest absolute value; differences up to it stay finite."""
_EXACT = 2**53
"""Integers below it are exact as floats."""


@dataclass(frozen=True)
class Importance:
    """How much each differing setting matters for the score, by PED-ANOVA.

    PED-ANOVA (Watanabe, Bansal & Hutter 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces", https://arxiv.org/abs/2304.10255) measures how far the distribution of a setting's values in
    the better half of the systems differs from the distribution in all systems. It is Optuna's default evaluator.
    """

    shares: Mapping[str, float]
    """Importance by key, the most important first; the sum is 1."""
    systems: int
    """Number of systems that the shares are computed from."""
    left_out: tuple[str, ...] = ()
    """Keys without an importance: most of their values are unique and not numeric."""

    def to_dict(self) -> dict[str, Any]:
        """Return the importance as plain data."""
        return {
            "method": METHOD,
            "source": SOURCE,
            "systems": self.systems,
            "shares": dict(self.shares),
            "left_out": list(self.left_out),
        }


def importance_of(
    systems: Sequence[Settings],
    values: Sequence[float],
    keys: Sequence[str],
    higher_is_better: bool | None,
    notes: list[str],
) -> Importance | None:
    """Return the importance of settings for a score. The computation is deterministic.

    Args:
        systems: the settings of each system.
        values: the score of each system.
        keys: the settings that differ.
        higher_is_better: which direction of the score is better.
        notes: gets a line if optuna is missing.

    Returns:
        None if there are too few systems or settings, neither direction is better, too many equal scores leave the
        better half undefined, or optuna is missing.
    """
    found = {key: _column([settings.get(key, ...) for settings in systems]) for key in keys}
    columns = {key: column for key, column in found.items() if column is not None}
    fewest = max(FEWEST_SYSTEMS, SYSTEMS_PER_SETTING * len(columns))
    if higher_is_better is None or len(columns) < 2 or len(systems) < fewest or len(set(values)) < 2:
        return None
    try:
        raw = _ped_anova(columns, values, higher_is_better)
    except ImportError:
        notes.append("importance needs optuna: pip install 'bisum[search]'")
        return None
    total = sum(raw.values())
    if total <= 0:
        return None
    ordered = sorted(columns, key=lambda key: -raw[key])
    left_out = tuple(key for key in keys if key not in columns)
    return Importance({key: raw[key] / total for key in ordered}, len(systems), left_out)


def _column(values: Sequence[Any]) -> list[Any] | None:
    """Return the values of a setting as numbers or as texts, with None for a system without a number.

    None if they are uninformative: if most values are unique, any better half looks unlike the rest.
    """
    numbers = [value if is_number(value) and abs(value) < _LARGEST else None for value in values]
    if None not in numbers:
        return numbers
    texts = [comparable(value) for value in values]
    if 2 * len(set(texts)) <= len(texts):
        return texts
    is_complete = all(value in (..., None) for value, own in zip(values, numbers, strict=True) if own is None)
    return numbers if is_complete and len({*numbers} - {None}) > 1 else None


def _ped_anova(
    columns: Mapping[str, Sequence[Any]], values: Sequence[float], higher_is_better: bool
) -> dict[str, float]:
    """Return the unnormalized importance of settings; raises `ImportError` without optuna."""
    import optuna  # takes half a second
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    with _silent():
        study = optuna.create_study(direction="maximize" if higher_is_better else "minimize")
        ranges = {key: _distribution(column) for key, column in columns.items()}
        for place, value in enumerate(values):
            own = {key: column[place] for key, column in columns.items() if column[place] is not None}
            study.add_trial(
                optuna.create_trial(params=own, distributions={key: ranges[key] for key in own}, value=value)
            )
        evaluator = PedAnovaImportanceEvaluator(target_quantile=_BETTER_SHARE)
        return get_param_importances(study, evaluator=evaluator, params=[*columns], normalize=False)


def _distribution(column: Sequence[Any]) -> BaseDistribution:
    """Return the range of a setting."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    known = [value for value in column if value is not None]
    if isinstance(known[0], str):
        return CategoricalDistribution(sorted(set(known)))
    low, high = min(known), max(known)
    log = low > 0 and high >= _LOG_RATIO * low
    if all(isinstance(value, int) and abs(value) < _EXACT for value in known):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


@contextmanager
def _silent() -> Iterator[None]:
    """Silence optuna's logs and warnings; the report has its own note on few systems."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
