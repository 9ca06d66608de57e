"""The interface of a metric besides ROUGE. Your own metric is a class with `scores` and `compute`:

@dataclass(frozen=True, kw_only=True)
class Questions(Metric):
    scores = {"questions": share("summaries that end with ?", higher_is_better=False)}

    def compute(self, summaries):
        return {"questions": [float(text.endswith("?")) for text in summaries.predictions]}

A file `metric/questions.yaml` in a folder of yours makes it an option:

# @package metric.questions
_target_: mine.Questions

It is then chosen with --config-dir FOLDER allow_targets=[mine] metric=[questions].
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
    """The rows that a metric scores. All sequences have one entry per row, and cannot be changed."""

    ids: Sequence[str]
    """Ids of the rows, unique within their split."""
    documents: Sequence[str]
    """The texts that were summarized."""
    predictions: Sequence[str]
    """The summaries to score; some may be empty."""
    references: Sequence[str]
    """The summaries in the corpus."""
    languages: Sequence[str]
    """Codes of the rows' languages."""
    at_limit: Sequence[bool] | None = None
    """Whether each summary was cut off at the model's token limit; None if no model generated them."""
    advance: Callable[[int], None] = _ignore
    """Function that a slow metric calls with the number of rows scored: it shows progress, and raises if a signal asked
    the run to end."""


OF_SPEED = ("batch_size", "device")
"""Settings of metrics that change no value."""

Values = Sequence[float | None] | Sequence[Sequence[float]] | float
"""A score's values: a number for each row (None: the row has no value), or counts for each row if the score states how
to aggregate them, or one number for all rows, which then has no interval."""


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A score of summaries, row by row."""

    libraries: ClassVar[Sequence[str]] = ()
    """Libraries whose terminal output is silenced: any of transformers, huggingface_hub and datasets."""

    @property
    @abstractmethod
    def scores(self) -> Mapping[str, Score]:
        """The scores that `compute` returns, by name. A class attribute will do.

        A name is a letter, then letters, digits, - and _. Some names are taken; see `score.name_problem`.
        """

    def prepare(self, languages: Sequence[str], progress: ShowProgress) -> Iterable[str]:  # noqa: ARG002
        """Load what `compute` needs, before the corpus is read; `progress` displays a download.

        Returns:
            Lines that a reader of the scores must know, such as a language in which the metric means nothing. They are
            shown after the metric's name in the configuration.

        Raises:
            UserError: something is missing, or unfit for one of `languages`, the codes of the corpus's languages.
        """
        return ()

    @abstractmethod
    def compute(self, summaries: Summaries) -> Mapping[str, Values]:
        """Return the values of each score in `scores`.

        Raises:
            UserError: the metric cannot score these rows; any other error is reported with the metric's name.
        """
