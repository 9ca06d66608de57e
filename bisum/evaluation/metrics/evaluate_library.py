"""Metrics of the `evaluate` library as bisum metrics."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bisum.config.targets import local_script, refuse_script
from bisum.errors import UserError, reason
from bisum.interfaces.defaults import from_conf
from bisum.interfaces.metric import Metric, Summaries, Values
from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.score import Score, name_problem
from bisum.interfaces.text import Name

if TYPE_CHECKING:
    from evaluate import EvaluationModule


@dataclass(frozen=True, kw_only=True)
class EvaluateMetric(Metric):
    """A metric of the `evaluate` library; its script is code, so it must be allowed in `BISUM_ALLOW_TARGETS`."""

    libraries = ("datasets", "huggingface_hub")

    name: Name
    """Name on the Hugging Face hub (`bleu`, `owner/metric`), or path of a metric script (works offline)."""
    higher_is_better: bool | None = from_conf("metric/evaluate", "higher_is_better")
    """Direction of the main result; null: unknown, so it cannot select the best checkpoint."""
    options: dict[str, Any] = from_conf("metric/evaluate", "options")
    """Further arguments of the metric, such as `lang: en`."""

    def __post_init__(self) -> None:
        refuse_script(self.name)

    @property
    def scores(self) -> Mapping[str, Score]:
        """The main result under the metric's name, and any other as `<metric>_<result>`."""
        return _Results(self._label, self.higher_is_better)

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:  # noqa: ARG002
        """Load the metric."""
        _load(self.name)
        return ()

    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return the metric's numbers and its lists of one number per row; drop other lists and text.

        Raises UserError if the metric cannot be loaded.
        """
        results = _load(self.name).compute(
            predictions=list(summaries.predictions), references=list(summaries.references), **self.options
        )
        return {
            self._label if key in ("score", Path(self.name).name.removesuffix(".py")) else self._name(key): value
            for key, value in (results or {}).items()
            if isinstance(value, Real) or _is_per_row(value, len(summaries.predictions))
        }

    @property
    def _label(self) -> str:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", Path(self.name).name.removesuffix(".py"))
        return name if name_problem(name) is None else f"metric_{name}"

    def _name(self, result: str) -> str:
        """Return a valid name for a further result, whose key can be any text."""
        name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{self._label}_{result}")
        return name if name_problem(name) is None else f"{name}_value"


class _Results(dict[str, Score]):
    """The scores of a metric whose results are unknown until it is computed."""

    def __init__(self, label: str, higher_is_better: bool | None) -> None:
        unstated = " (higher_is_better is not set)" if higher_is_better is None else ""
        super().__init__({label: Score(f"{label} of the evaluate library{unstated}", higher_is_better)})
        self._label = label

    def __missing__(self, name: str) -> Score:
        if not name.startswith(f"{self._label}_"):
            raise KeyError(name)
        return Score(f"{name.removeprefix(f'{self._label}_')} of {self._label}", higher_is_better=None)


def _is_per_row(value: Any, rows: int) -> bool:
    """Return whether a result is a list of one number per row; with a single row, this is undecidable, so False."""
    return isinstance(value, list) and len(value) == rows > 1 and all(isinstance(item, Real) for item in value)


def _load(name: str) -> EvaluationModule:
    script = local_script(name)
    try:
        return _load_allowed(str(script or name))
    except Exception as error:  # a script or the network can raise anything
        if script:
            raise UserError(f"name: the script {script} of {name!r} cannot be loaded ({reason(error)})") from error
        raise UserError(
            f"name: {name!r} is not a local script, so it needs the Hugging Face hub, which failed or has no such "
            f"metric ({reason(error)}); the path of a metric script works offline"
        ) from error


@cache
def _load_allowed(reference: str) -> EvaluationModule:
    import evaluate

    # In memory, because concurrent runs would wait for the lock on a shared cache file.
    return evaluate.load(reference, keep_in_memory=True)
