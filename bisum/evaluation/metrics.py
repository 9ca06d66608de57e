"""Metrics beside ROUGE: the interface, and any metric of the `evaluate` library behind it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bisum.checking import allowed_targets
from bisum.errors import UserError

if TYPE_CHECKING:
    from evaluate import EvaluationModule


@runtime_checkable
class Metric(Protocol):
    """What a metric of one's own provides."""

    def compute(self, predictions: list[str], references: list[str], languages: list[str]) -> dict[str, float]:
        """Score all rows at once; row i has `predictions[i]`, `references[i]` and the code `languages[i]`."""
        ...


@dataclass(frozen=True, kw_only=True)
class EvaluateMetric:
    """A metric of the `evaluate` library; its script is code, so it must be allowed in `BISUM_ALLOW_TARGETS`."""

    name: str
    """Name on the Hugging Face hub (`bleu`, `owner/metric`), or path of a metric script, which needs no network."""

    def __post_init__(self) -> None:
        if not _is_allowed(self.name, _local_script(self.name)):
            raise UserError(
                f"metric {self.name!r} runs code that bisum does not know: "
                f"allow it with allow_targets=[{self.name}] on the command line or BISUM_ALLOW_TARGETS={self.name}"
            )

    def compute(
        self,
        predictions: list[str],
        references: list[str],
        languages: list[str],  # noqa: ARG002 (the library's metrics know no language)
    ) -> dict[str, float]:
        """The metric's numbers: `<name>` for its main one, `<name>_<key>` for others; lists and texts are dropped.

        Raises UserError if it does not load.
        """
        label = Path(self.name).name.removesuffix(".py")
        results = _load(self.name).compute(predictions=predictions, references=references)
        return {
            label if key in ("score", label) else f"{label}_{key}": float(value)
            for key, value in results.items()
            if isinstance(value, Real)
        }


def _load(name: str) -> EvaluationModule:
    script = _local_script(name)
    try:
        return _load_allowed(str(script or name))
    except Exception as error:  # whatever a script or the network raises
        failure = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if script:
            raise UserError(f"metric {name!r}: its script {script} does not load ({failure})") from error
        raise UserError(
            f"metric {name!r} is no local script, so it needs the Hugging Face hub, which failed or has no such "
            f"metric ({failure}); the path of a metric's own script works offline"
        ) from error


@cache
def _load_allowed(reference: str) -> EvaluationModule:
    import evaluate

    # In memory, because runs side by side would wait for each other's lock on a shared cache file.
    return evaluate.load(reference, keep_in_memory=True)


def _local_script(name: str) -> Path | None:
    """The file that `evaluate.load(name)` would run: `name` itself, or the script of the same name inside it."""
    path = Path(name).absolute()
    script = path if path.suffix == ".py" else path / f"{path.name}.py"
    return script if script.is_file() else None


def _is_allowed(name: str, script: Path | None) -> bool:
    """A hub name must be listed itself; a script may lie anywhere below a listed path, links followed."""
    allowed = allowed_targets()
    if name in allowed or script is None:
        return name in allowed
    real = script.resolve()
    return any(Path(entry).resolve() in (real, *real.parents) for entry in allowed)
