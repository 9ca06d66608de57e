"""The interface of a metric. Your own metric is a class with `scores` and `compute`:

@dataclass(frozen=True, kw_only=True)
class Questions(Metric):
    scores = {"questions": share("summaries that end with ?", higher_is_better=False)}

    def compute(self, summaries):
        return {"questions": [float(text.endswith("?")) for text in summaries.predictions]}

A file `metric/questions.yaml` in your own folder makes it an option:

# @package metric.questions
_target_: mine.Questions

Choose it with --config-dir FOLDER allow_targets=[mine] metric=[questions].
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bisum.interfaces.progress import ShowProgress
from bisum.interfaces.score import Score


def _ignore(done: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class Summaries:
    """The rows to score. All sequences are immutable and have one entry per row."""

    ids: Sequence[str]
    """Ids of the rows, unique within their split."""
    documents: Sequence[str]
    """The summarized texts."""
    predictions: Sequence[str]
    """The summaries to score; some can be empty."""
    references: Sequence[str]
    """The summaries in the corpus."""
    languages: Sequence[str]
    """Language codes of the rows."""
    at_limit: Sequence[bool] | None = None
    """Whether each summary was cut off at the model's token limit; None if no model generated the summaries."""
    advance: Callable[[int], None] = _ignore
    """Function for a slow metric to call with the number of rows scored: it shows progress, and raises if a signal ends
    the run."""


SPEED_SETTINGS = ("batch_size", "device")
"""Settings of metrics that do not affect values."""

Values = Sequence[float | None] | Sequence[Sequence[float]] | float
"""A score's values: a number for each row (None: no value), or counts for each row if the score has `aggregate`, or one
number for all rows, which has no interval."""


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A metric that scores summaries row by row."""

    libraries: ClassVar[Sequence[str]] = ()
    """Libraries whose terminal output is silenced: any of transformers, huggingface_hub and datasets."""

    @property
    @abstractmethod
    def scores(self) -> Mapping[str, Score]:
        """The scores that `compute` returns, by name. It can be a class attribute.

        A name is a letter, then letters, digits, - and _. Some names are reserved; see `score.name_problem`.
        """

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:  # noqa: ARG002
        """Load what `compute` needs, before the corpus is read; `progress` displays a download.

        Returns:
            Notes for readers of the scores, one line each, such as a language in which the metric is meaningless. They
            are shown after the metric's name in the configuration.

        Raises:
            UserError: something is missing or unsuitable for one of `languages`, the corpus's language codes.
        """
        return ()

    @abstractmethod
    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return the values of each score in `scores`.

        Raises:
            UserError: the metric cannot score these rows. Any other error is reported with the metric's name.
        """
