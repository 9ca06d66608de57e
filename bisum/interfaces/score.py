"""The description of a score: its meaning, direction, range and name; and the scores in every evaluation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Score:
    """The description of a score that a metric returns.

    Raises ValueError if a field has the wrong type, or the bounds are in the wrong order.
    """

    description: str
    """Meaning of the number, in one line."""
    higher_is_better: bool | None
    """The direction: true, false, or None if neither is better, as for the number of words."""
    lowest: float = -math.inf
    """Lower bound of a row's value, or of the whole score if it is not a mean over rows, before `scale`."""
    highest: float = math.inf
    """Upper bound of a row's value or the score, like `lowest`."""
    scale: float = 1
    """Factor from the score to the reported number: 100 turns a share into a percentage."""
    aggregate: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    """For a score that is not a mean over rows: the function from summed counts, shape (..., counts), to scores, shape
    (...). It must not depend on the scale of the counts: their means over rows give the same score."""
    unit: str = ""
    """Unit of the reported number, such as %; empty for a score without a unit."""
    interval: bool = True
    """Whether to report intervals and differences."""
    generated_only: bool = False
    """Whether only evaluations of a model have the score, and lead-k does not."""

    def __post_init__(self) -> None:
        if not isinstance(self.description, str) or not isinstance(self.unit, str):
            raise ValueError("Score: description and unit must be text")
        if self.higher_is_better not in (True, False, None) or type(self.higher_is_better) is int:
            raise ValueError(f"Score: higher_is_better must be True, False or None, not {self.higher_is_better!r}")
        if not self.lowest <= self.highest:
            raise ValueError(f"Score: lowest ({self.lowest!r}) must be at most highest ({self.highest!r})")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"Score: scale must be above 0 and finite, not {self.scale!r}")

    def described(self) -> dict[str, Any]:
        """Return the score's record as plain data, with the bounds in reported units."""
        bounds = [self.scale * bound if math.isfinite(bound) else None for bound in (self.lowest, self.highest)]
        return {
            "description": self.description,
            "higher_is_better": self.higher_is_better,
            "range": bounds,
            "scale": self.scale,
            "unit": self.unit,
        }


def share(description: str, higher_is_better: bool | None) -> Score:
    """Return a score of shares in [0, 1], reported as a percentage."""
    return Score(description, higher_is_better, lowest=0, highest=1, scale=100, unit="%")


_NAME = re.compile(r"[A-Za-z][\w-]*")
_RESERVED = ("id", "language")
"""Names of other columns in tables of row scores."""
RESERVED_ENDS = ("_low", "_high", "_better", "_rows")
"""Suffixes of the values reported along with a score."""


def name_problem(name: Any) -> str | None:
    """Return why a score's name is invalid; None if it is valid."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"invalid score name {name!r}; use a letter, then letters, digits, - and _"
    if name in _RESERVED or name.endswith(RESERVED_ENDS):
        reserved = f"{', '.join(_RESERVED)} and names ending in {', '.join(RESERVED_ENDS)} are reserved"
        return f"invalid score name '{name}'; {reserved}"
    return None


ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
ROUGE_MEASURES = ("precision", "recall", "fmeasure")
ROUGE_PROFILES = ("rouge", "unicode")

_UNITS = {
    "rouge1": "words",
    "rouge2": "word bigrams",
    "rougeL": "the longest common subsequence of words",
    "rougeLsum": "the longest common subsequences of words, sentence by sentence",
}
_OF_MEASURE = {"precision": "precision", "recall": "recall", "fmeasure": "F1"}


def rouge_name(profile: str, rouge_type: str, measure: str = "fmeasure") -> str:
    """Return the name of a ROUGE score, such as `rougeL`, `unicode/rougeL` or `rougeL_recall`."""
    name = rouge_type if measure == "fmeasure" else f"{rouge_type}_{measure}"
    return name if profile == "rouge" else f"{profile}/{name}"


ROUGE_SCORES: Mapping[str, Score] = MappingProxyType(
    {
        rouge_name(profile, rouge_type, measure): Score(
            f"{_OF_MEASURE[measure]} of {unit}" + (", in any script" if profile == "unicode" else ""),
            higher_is_better=True,
            lowest=0,
            highest=1,
            scale=100,
            interval=measure == "fmeasure",
        )
        for profile in ROUGE_PROFILES
        for rouge_type, unit in _UNITS.items()
        for measure in ROUGE_MEASURES
    }
)
"""The ROUGE scores in every evaluation, by name."""

MODEL_SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "loss": Score("cross-entropy of the references, mean over their tokens", False, lowest=0, generated_only=True),
        "gen_len": Score("tokens of a generated summary, mean over rows", None, lowest=0, generated_only=True),
    }
)
"""Further scores of a model, over all rows only."""


def score_name(prefix: str, name: str, *, language: str = "", profile: str = "rouge") -> str:
    """Return a score's name in the logs, such as `eval/chrf`, `eval/es/rougeL` or `eval/unicode/es/rougeL`.

    `name` may include a ROUGE profile, as in `unicode/rougeL`; otherwise `profile` is added, unless it is `rouge`.
    """
    *own, name = name.split("/")
    return "/".join(filter(None, (prefix, *(own or [profile if profile != "rouge" else ""]), language, name)))


def split_score_name(metric: str) -> tuple[str, str]:
    """Return the score and the language ("": all) in a name from the logs; the inverse of `score_name`."""
    _, *parts, name = metric.split("/")
    profiles, languages = [part for part in parts if part == "unicode"], [part for part in parts if part != "unicode"]
    return "/".join([*profiles, name]), "/".join(languages)
