"""Reports of a trial to its search, in the process that trains it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bisum.config.schema import Config
from bisum.errors import one_line, without_secrets
from bisum.interfaces.trainer import AUTO

if TYPE_CHECKING:
    from bisum.training.session import Prune


def pruning(config: Config, best_metric: str, warn: Callable[[str], None]) -> Prune | None:
    """Return a function that reports each evaluation of a run to its search; None unless the run is such a trial.

    Args:
        config: the run's configuration.
        best_metric: the metric that selects its checkpoint.
        warn: function that shows a warning.
    """
    trial = config.provenance.trial
    if trial is None:
        return None
    from bisum.sweeps.reporter import Reporter

    (name,) = trial.options.objectives
    objective = best_metric if name == AUTO else name
    is_by_epoch = config.trainer.evaluate_every is None and config.trainer.max_steps is None
    most = config.trainer.epochs if is_by_epoch else None
    reporter: Reporter | None = None

    def report(evaluation: int, metrics: Mapping[str, float]) -> str | None:
        """Report an evaluation; the search compares trials after equal numbers of evaluations."""
        nonlocal reporter
        try:
            reporter = reporter or Reporter(trial.place, trial.study, trial.number, trial.options, most)
            why = reporter.report(evaluation, metrics.get(objective, math.nan))
        except Exception as error:  # an unreachable database must not end a training run
            warn(f"this evaluation was not reported to the search: {without_secrets(one_line(error))[:300]}")
        else:
            return None if why is None else f"{objective} {why}"
        return None

    return report
