"""Metrics of the `evaluate` library as bisum metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

from bisum.config.targets import local_script, refuse_foreign_script
from bisum.errors import UserError, reason
from bisum.interfaces.metric import Metric

if TYPE_CHECKING:
    from evaluate import EvaluationModule


@dataclass(frozen=True, kw_only=True)
class EvaluateMetric:
    """A metric of the `evaluate` library; its script is code, so it must be allowed in `BISUM_ALLOW_TARGETS`."""

    name: str
    """Name on the Hugging Face hub (`bleu`, `owner/metric`), or path of a metric script (works offline)."""

    def __post_init__(self) -> None:
        refuse_foreign_script(self.name)

    def compute(
        self,
        predictions: list[str],
        references: list[str],
        languages: list[str],  # noqa: ARG002 (the library's metrics take no language)
    ) -> dict[str, float]:
        """Return the metric's numbers: `<name>` for the main one, `<name>_<key>` for others; drop lists and texts.

        Raises UserError if the metric cannot be loaded.
        """
        label = Path(self.name).name.removesuffix(".py")
        results = _load(self.name).compute(predictions=predictions, references=references)
        return {
            label if key in ("score", label) else f"{label}_{key}": float(value)
            for key, value in results.items()
            if isinstance(value, Real)
        }


def further_metrics(metrics: Iterable[str | Metric]) -> list[Metric]:
    """Return `evaluation.metrics` as objects; a string is the name or path of a metric of the library."""
    return [EvaluateMetric(name=metric) if isinstance(metric, str) else metric for metric in metrics]


def _load(name: str) -> EvaluationModule:
    script = local_script(name)
    try:
        return _load_allowed(str(script or name))
    except Exception as error:  # a script or the network may raise anything
        if script:
            raise UserError(f"metric {name!r}: its script {script} does not load ({reason(error)})") from error
        raise UserError(
            f"metric {name!r} is not a local script, so it needs the Hugging Face hub, which failed or has no such "
            f"metric ({reason(error)}); the path of a metric's own script works offline"
        ) from error


@cache
def _load_allowed(reference: str) -> EvaluationModule:
    import evaluate

    # In memory, because concurrent runs would wait for the lock on a shared cache file.
    return evaluate.load(reference, keep_in_memory=True)
