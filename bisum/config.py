"""The schema of a run's configuration: every key, its type, its range and what it changes.

Values and defaults live in `conf/`; this module says what they may be. Nodes with a `_target_` follow the signature of
the class they name. Nothing here imports torch, transformers or datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt, MinLen

from bisum.checking import build
from bisum.corpus.filters import Filter
from bisum.corpus.sources import Source
from bisum.errors import UserError
from bisum.evaluation.options import EvaluationOptions, GenerationOptions
from bisum.hardware.options import HardwareOptions
from bisum.models.options import ModelOptions
from bisum.records.tracker import Tracker
from bisum.training.trainer import Trainer


@dataclass(kw_only=True)
class Config:
    """One experiment, checked; nodes that name a class are objects of it."""

    seed: Annotated[int, Ge(0), Lt(2**32)]
    """Source of all randomness: row order, sampling, initial weights, dropout, bootstrap."""
    languages: Annotated[list[str], MinLen(1)]
    """Codes of the languages whose rows are used, such as en and es."""
    corpus: Source
    """Where rows come from."""
    filter: dict[str, Filter]
    """Which rows are kept; filters apply in their order."""
    model: ModelOptions
    """What is fine-tuned."""
    trainer: Trainer
    """The backend and its settings."""
    generation: GenerationOptions
    """How summaries are decoded."""
    evaluation: EvaluationOptions
    """How summaries are scored."""
    hardware: HardwareOptions
    """Where it runs."""
    tracker: Tracker
    """Where it is watched and compared."""
    cache_dir: str
    """Folder of tokenized corpora, shared by all runs; ~ is the home directory."""
    log: Literal["debug", "info", "quiet"]
    """What the terminal shows: scores alone, the run's story, or each logged step and the libraries' records too."""
    resume: str | None
    """Run directory to continue from its newest sound checkpoint."""

    def __post_init__(self) -> None:
        self.name = "train"
        self.resolved: dict[str, Any] = {}
        self.overrides: list[str] = []
        self.choices: dict[str, str] = {}
        self.sweep: str | None = None
        if len(set(self.languages)) != len(self.languages):
            raise UserError(f"languages: {self.languages} names a language twice")
        if reserved := {"unicode", "all"} & set(self.languages):
            raise UserError(f"languages: '{min(reserved)}' is the name of a metric; give codes such as en, es, pt_BR")
        if self.generation.min_tokens >= self.model.max_summary_tokens:
            limit = self.model.max_summary_tokens
            raise UserError(f"generation.min_tokens: must be below model.max_summary_tokens, {limit}")
        self._check_best_metric()

    def _check_best_metric(self) -> None:
        """The metric that chooses the best checkpoint must be one that an evaluation of this run yields."""
        best = self.trainer.best_metric
        if not (self.trainer.names_built_in_metric() or self.evaluation.metrics):
            valid = "eval/loss, eval/gen_len, eval/rouge1, eval/rouge2, eval/rougeL, eval/rougeLsum"
            raise UserError(
                f"trainer.best_metric: no metric '{best}' (valid: {valid}, "
                "the same per language as in eval/en/rougeL and accent-correct as in eval/unicode/rougeL)"
            )
        for part in best.split("/")[1:-1]:
            if part != "unicode" and part not in self.languages:
                raise UserError(
                    f"trainer.best_metric: '{best}' names '{part}', which is not in languages {self.languages}"
                )


@dataclass(kw_only=True)
class BaselineConfig(Config):
    """A baseline's configuration: an experiment's, and the split to score."""

    split: Literal["train", "validation", "test"]
    """Rows that lead-k is scored on."""


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """How much of a corpus is shown; everything is counted."""

    samples: Annotated[int, Ge(0)]
    """Rows of each language shown side by side, of those that the filters keep."""
    dropped: Annotated[int, Ge(0)]
    """Rows of each language shown of those that each filter drops."""
    categories: Annotated[int, Ge(1)]
    """Categories shown, those with the largest shares of the languages' rows."""


@dataclass(kw_only=True)
class ExploreConfig(Config):
    """An exploration's configuration: an experiment's, and what to show of its corpus."""

    split: Literal["train", "validation", "test"]
    """Rows that are shown and drawn; repeated rows and what filters drop are told of every split."""
    explore: ExploreOptions
    """How much is shown."""


SCHEMAS: dict[str, type[Config]] = {"train": Config, "baseline": BaselineConfig, "explore": ExploreConfig}
"""Schema of each primary configuration, `conf/NAME.yaml`."""


def check(values: Mapping[str, Any], name: str = "train") -> Config:
    """Return the checked configuration; its attribute `resolved` keeps `values`, plain data.

    Raises:
        UserError: a line for each key that is unknown, missing, of the wrong type or out of range.
    """
    config = build(SCHEMAS[name], values)
    config.name, config.resolved = name, dict(values)
    return config
