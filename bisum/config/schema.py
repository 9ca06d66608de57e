"""The schema of a run's configuration: every key, its type, its range and what it changes.

Values and defaults live in `conf/`; this module says what they may be. Nodes with a `_target_` follow the signature of
the class they name. Nothing here imports torch, transformers or datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Lt, MinLen, doc

from bisum.config.checking import build
from bisum.config.options import (
    DebugOptions,
    EvaluationOptions,
    ExploreOptions,
    GenerationOptions,
    HardwareOptions,
    ModelOptions,
    SearchOptions,
    SweepOptions,
)
from bisum.config.provenance import Provenance
from bisum.config.recording import Recorded, record_of
from bisum.errors import UserError, nearest
from bisum.interfaces.filter import Filter
from bisum.interfaces.language import Language
from bisum.interfaces.metric import Metric
from bisum.interfaces.score import (
    MODEL_SCORES,
    ROUGE_SCORES,
    ROUGE_TYPES,
    Score,
    name_problem,
    score_name,
    split_score_name,
)
from bisum.interfaces.source import Source
from bisum.interfaces.text import Name
from bisum.interfaces.tracker import Tracker
from bisum.interfaces.trainer import AUTO, Trainer


@dataclass(frozen=True, kw_only=True)
class Config:
    """One experiment, checked; nodes that name a class are objects of it."""

    seed: Annotated[int, Ge(0), Lt(2**32)]
    """Source of all randomness: row order, sampling, initial weights, dropout, bootstrap."""
    languages: Annotated[list[Language], MinLen(1), doc("write a list, such as languages=[es]")]
    """Codes of the languages whose rows are used, such as en and es."""
    corpus: Source
    """Where rows come from."""
    filter: dict[str, Filter]
    """Which rows are kept; filters apply in their order."""
    metric: dict[str, Metric]
    """What summaries are scored with, besides ROUGE."""
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
    debug: DebugOptions
    """Which checks of a training are made."""
    sweep: SweepOptions
    """Which jobs a sweep has, and how they run."""
    search: SearchOptions | None
    """How a sweep's jobs are searched for; null: they are listed. The options of `hparams_search` set it."""
    cache_dir: Name
    """Folder of tokenized corpora, shared by all runs; ~ is the home directory."""
    log: Literal["debug", "info", "quiet"]
    """What the terminal shows: each logged step and the libraries' records too, the run's story, or scores alone."""
    resume: Name | None
    """Run directory to continue from its newest sound checkpoint, or sweep directory whose unfinished jobs to run."""
    provenance: Provenance = field(compare=False)
    """Where the configuration comes from; no key of it."""

    def __post_init__(self) -> None:
        if len(set(self.languages)) != len(self.languages):
            raise UserError(f"languages: {self.languages} names a language twice")
        for code in self.languages:
            if "/" in code or not code.strip():
                raise UserError(f"languages: '{code}' is not a language code; use codes such as en, es, pt_BR")
        if reserved := {"unicode", "all"} & set(self.languages):
            raise UserError(f"languages: '{min(reserved)}' is the name of a metric; give codes such as en, es, pt_BR")
        try:
            Path(self.cache_dir).expanduser()
        except RuntimeError as error:
            raise UserError(f"cache_dir: '{self.cache_dir}': there is no such user") from error
        if self.generation.min_tokens >= self.model.max_summary_tokens:
            limit = self.model.max_summary_tokens
            raise UserError(f"generation.min_tokens: must be below model.max_summary_tokens, {limit}")
        self._check_scores()
        self._check_best_metric()

    def score_of(self, name: str) -> Score | None:
        """Return what a score of an evaluation is; None if no metric gives one of that name."""
        if (key := self.metric_of(name)) is not None:
            return self.metric[key].scores[name]
        return {**MODEL_SCORES, **ROUGE_SCORES}.get(name)

    def metric_of(self, name: str) -> str | None:
        """Return the chosen metric that gives a score; None if none does."""
        for key, metric in self.metric.items():
            with suppress(KeyError):
                if metric.scores[name]:  # a mapping may know names that it does not list
                    return key
        return None

    def _check_scores(self) -> None:
        """Metrics must describe their scores, and no two may give scores of one name."""
        owners = dict.fromkeys((*MODEL_SCORES, *ROUGE_SCORES), "every evaluation")
        for key, metric in self.metric.items():
            if key == "rouge":
                raise UserError("metric.rouge: ROUGE is part of every evaluation; give this metric another name")
            scores = metric.scores
            if not isinstance(scores, Mapping) or not all(isinstance(score, Score) for score in scores.values()):
                raise UserError(f"metric.{key}: scores of {type(metric).__name__} must be a mapping of names to Score")
            for name in scores:
                if problem := name_problem(name):
                    raise UserError(f"metric.{key}: {problem}")
                if name in owners:
                    raise UserError(f"metric.{key}: gives '{name}', as does {owners[name]}; remove one of the two")
                owners[name] = f"metric.{key}"

    def _check_best_metric(self) -> None:
        """The metric that selects the best checkpoint, and those of a search, must be ones that evaluations give."""
        self._check_directed("trainer.best_metric", self.trainer.best_metric)
        for name in self.search.objectives if self.search is not None else ():
            self._check_directed("search.objective", name)

    def _check_directed(self, key: str, best: str) -> None:
        """A metric must be one that an evaluation of this run gives, with a direction."""
        if best == AUTO:
            return
        if not best.startswith("eval/"):
            raise UserError(f"{key}: '{best}' must be {AUTO} or begin with eval/, as in eval/rougeL")
        name, language = split_score_name(best)
        is_whole = score_name("eval", name, language=language) == best
        if language and language not in self.languages:
            raise UserError(f"{key}: '{best}' names '{language}', which is not in languages {self.languages}")
        score = self.score_of(name)
        if score is None or not is_whole or (name in MODEL_SCORES and language):
            own = chain.from_iterable(metric.scores.items() for metric in self.metric.values())
            known = ["loss", *ROUGE_TYPES, *(name for name, score in own if score.higher_is_better is not None)]
            valid = ", ".join(f"eval/{name}" for name in known)
            raise UserError(
                f"{key}: no metric '{best}'{nearest(name, known)} (valid: {valid}, all but loss per "
                "language as in eval/en/rougeL, and ROUGE accent-correct as in eval/unicode/rougeL; metric=[...] adds "
                "others)"
            )
        if score.higher_is_better is None:
            raise UserError(f"{key}: neither higher nor lower is better for '{best}' ({score.description})")


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(Config):
    """A baseline's configuration: an experiment's, and the split to score."""

    split: Literal["train", "validation", "test"]
    """Rows that lead-k is scored on."""


@dataclass(frozen=True, kw_only=True)
class ExploreConfig(Config):
    """An exploration's configuration: an experiment's, and what to show of its corpus."""

    split: Literal["train", "validation", "test"]
    """Rows that are shown and drawn; repeated rows, and what filters drop, are reported for every split."""
    explore: ExploreOptions
    """How much is shown."""


@dataclass(frozen=True, kw_only=True)
class TrainedModelConfig(Config):
    """The configuration of a command that uses a trained model: an experiment's, with the model's weights."""

    run: Name | None
    """Directory of a run, whose configuration and best checkpoint are used; or a checkpoint's directory or hub name;
    null: the model of `model`, by default the starter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.checkpoint is None:
            raise UserError(
                "model: has random weights; choose a trained one, such as model=starter, or name one after the command "
                "or as run=: a run directory, a checkpoint directory or a hub name"
            )

    def _check_best_metric(self) -> None:
        """No checkpoint is chosen here: the metric may be of languages that are not asked for."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(TrainedModelConfig):
    """An evaluation's configuration: the model's, and the split to score."""

    split: Literal["train", "validation", "test"]
    """Rows that the model is scored on."""


@dataclass(frozen=True, kw_only=True)
class SummarizeConfig(TrainedModelConfig):
    """What to summarize, how it is read and how the summaries are written."""

    files: list[Name]
    """Files to summarize, in their order; - is standard input."""
    unit: Literal["line", "file"]
    """What one document is in a text file or on standard input; JSON lines have one in each line."""
    language: Language | None
    """Code of the documents' language, where nothing beside them tells it; null: not known."""
    format: Literal["text", "jsonl"]
    """How summaries are written: as text, a line each, or as JSON lines with what is known of the document."""
    split: Literal["train", "validation", "test"] | None
    """Split of the corpus whose rows are summarized; null: test if rows or ids are given, or else none."""
    rows: (
        Annotated[
            list[Annotated[int, Ge(0), Le(1_000_000_000), doc("an id goes in ids=[...]")]],
            doc("write a list, such as rows=[3]"),
        ]
        | None
    )
    """Numbers of the split's rows, from 0, that are summarized; null: all rows of the split, unless ids are given."""
    ids: Annotated[list[Name], doc("write a list, such as ids=[en-3]")] | None
    """Ids of the split's rows that are summarized; null: all rows of the split, unless rows are given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.language is not None and not self.language.strip():
            raise UserError(f"language: '{self.language}' is not a language code; use codes such as en, es, pt_BR")
        for key, given in (("rows", self.rows), ("ids", self.ids)):
            if given == []:
                raise UserError(f"{key}: the list is empty; name some, or leave {key} out for all rows of the split")

    @property
    def asks_for_rows(self) -> bool:
        """Whether rows of the corpus are among what is summarized."""
        return bool(self.split or self.rows or self.ids)


SCHEMAS: dict[str, type[Config]] = {
    "train": Config,
    "baseline": BaselineConfig,
    "explore": ExploreConfig,
    "evaluate": EvaluateConfig,
    "summarize": SummarizeConfig,
}
"""Schema of each primary configuration, `conf/NAME.yaml`."""


def check(
    values: Mapping[str, Any], command: str = "train", recorded: Recorded | None = None, **provenance: Any
) -> Config:
    """Return the checked configuration of plain data.

    Args:
        values: the configuration, with every interpolation resolved.
        command: the command that it is for.
        recorded: the configuration as it is recorded; None: `values`, without the secrets of its URLs.
        provenance: further fields of `Provenance`.

    Raises:
        UserError: a line for each key that is unknown, missing, of the wrong type or out of range.
    """
    resolved = {**values, "resume": None}  # says how a run goes on, not what it is
    recorded = recorded or record_of(values, lambda: values)
    recorded = replace(recorded, config={**recorded.config, "resume": None})
    origin = Provenance(command=command, resolved=resolved, recorded=recorded, **provenance)
    return build(SCHEMAS[command], values, provenance=origin)
