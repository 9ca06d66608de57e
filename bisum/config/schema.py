"""The schema of a configuration: the type, range and meaning of each key.

Defaults are in `conf/`. Nodes with a `_target_` follow the signature of the class they name. Nothing here imports
torch, transformers or datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Lt, MinLen, doc

from bisum.config.batching import check_tokens_per_batch
from bisum.config.checking import build
from bisum.config.hub_options import HubOptions
from bisum.config.options import (
    DebugOptions,
    EvaluationOptions,
    ExploreOptions,
    GenerationOptions,
    HardwareOptions,
    ModelOptions,
    SearchOptions,
    SweepOptions,
    check_long_documents,
)
from bisum.config.provenance import Provenance
from bisum.config.recording import Recorded, record_of
from bisum.errors import UserError, nearest
from bisum.interfaces.adapter import Adapter
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
    """One checked experiment; nodes with a `_target_` are instances of the class."""

    seed: Annotated[int, Ge(0), Lt(2**32)]
    """Seed of all randomness: row order, sampling, initial weights, dropout and bootstrap."""
    languages: Annotated[list[Language], MinLen(1), doc("write a list, such as languages=[es]")]
    """Language codes of the rows to use, such as en and es."""
    corpus: Source
    """Source of the rows."""
    filter: dict[str, Filter]
    """Filters that drop rows, applied in the given order."""
    metric: dict[str, Metric]
    """Metrics in addition to ROUGE."""
    model: ModelOptions
    """Model to fine-tune."""
    adapter: Adapter
    """Weights that training changes: all, or small ones added to a frozen model."""
    trainer: Trainer
    """Training backend and its settings."""
    generation: GenerationOptions
    """Decoding of summaries."""
    evaluation: EvaluationOptions
    """Scoring of summaries."""
    hardware: HardwareOptions
    """Device, number format and data loading."""
    tracker: Tracker
    """Experiment tracker that records and compares runs."""
    debug: DebugOptions
    """Debugging checks of training."""
    sweep: SweepOptions
    """Jobs of a sweep and how they run."""
    hub: HubOptions
    """Uploads of the model to the Hugging Face hub."""
    search: SearchOptions | None
    """Settings of an Optuna search, set by the options of `hparams_search`; null: no search."""
    cache_dir: Name
    """Cache folder for the rows of large corpora, token ids and converted models, shared by all runs; ~ is the home
    directory."""
    log: Literal["debug", "info", "quiet"]
    """Terminal output; info: the progress of the run; debug: also each logged step and library logs; quiet: only
    scores."""
    resume: Name | None
    """Run directory to continue from its newest intact checkpoint, or sweep directory to finish; null: a new run."""
    provenance: Provenance = field(compare=False)
    """Origin of the configuration; not a key."""

    def __post_init__(self) -> None:
        if len(set(self.languages)) != len(self.languages):
            raise UserError(f"languages: {self.languages} lists a language twice")
        for code in self.languages:
            if "/" in code or not code.strip():
                raise UserError(f"languages: '{code}' is not a language code; use codes such as en, es, pt_BR")
        if reserved := {"unicode", "all"} & set(self.languages):
            raise UserError(f"languages: '{min(reserved)}' is the name of a metric; give codes such as en, es, pt_BR")
        try:
            Path(self.cache_dir).expanduser()
        except RuntimeError as error:
            raise UserError(f"cache_dir: '{self.cache_dir}': no such user") from error
        if self.generation.min_tokens >= self.model.max_summary_tokens:
            limit = self.model.max_summary_tokens
            raise UserError(f"generation.min_tokens: must be below model.max_summary_tokens, {limit}")
        if self.model.checkpoint is None and self.adapter.needs_checkpoint:
            name = self.provenance.choices.get("adapter", type(self.adapter).__name__)
            raise UserError(
                f"adapter: {name} needs a trained model, and this one has random weights; choose model=starter or "
                "another checkpoint, or adapter=none"
            )
        check_tokens_per_batch(self.trainer, self.hardware, self.corpus, self.debug)
        check_long_documents(self.provenance.command, self.model, self.hardware)
        self._check_scores()
        self._check_best_metric()

    def score_of(self, name: str) -> Score | None:
        """Return the `Score` with a name; None if no metric returns it."""
        if (key := self.metric_of(name)) is not None:
            return self.metric[key].scores[name]
        return {**MODEL_SCORES, **ROUGE_SCORES}.get(name)

    def metric_of(self, name: str) -> str | None:
        """Return the key of the chosen metric that returns a score; None if no metric does."""
        for key, metric in self.metric.items():
            with suppress(KeyError):
                if metric.scores[name]:  # a mapping can have names that it does not list
                    return key
        return None

    def _check_scores(self) -> None:
        """Refuse metrics without descriptions of their scores, and two scores of the same name."""
        owners = dict.fromkeys((*MODEL_SCORES, *ROUGE_SCORES), "every evaluation")
        for key, metric in self.metric.items():
            if key == "rouge":
                raise UserError("metric.rouge: ROUGE is part of every evaluation; give this metric another name")
            scores = metric.scores
            if not isinstance(scores, Mapping) or not all(isinstance(score, Score) for score in scores.values()):
                raise UserError(f"metric.{key}: {type(metric).__name__}.scores must be a mapping of names to Score")
            for name in scores:
                if problem := name_problem(name):
                    raise UserError(f"metric.{key}: {problem}")
                if name in owners:
                    raise UserError(f"metric.{key}: '{name}' is already a score of {owners[name]}; remove one of them")
                owners[name] = f"metric.{key}"

    def _check_best_metric(self) -> None:
        """Refuse a best metric or a search objective that no evaluation returns."""
        self._check_directed("trainer.best_metric", self.trainer.best_metric)
        for name in self.search.objectives if self.search is not None else ():
            self._check_directed("search.objective", name)

    def _check_directed(self, key: str, best: str) -> None:
        """Refuse a metric that no evaluation of this run returns, or that has no direction."""
        if best == AUTO:
            return
        if not best.startswith("eval/"):
            raise UserError(f"{key}: '{best}' must be {AUTO} or begin with eval/, as in eval/rougeL")
        name, language = split_score_name(best)
        is_whole = score_name("eval", name, language=language) == best
        if language and language not in self.languages:
            raise UserError(f"{key}: '{best}' needs '{language}', which is not in languages {self.languages}")
        score = self.score_of(name)
        if score is None or not is_whole or (name in MODEL_SCORES and language):
            own = chain.from_iterable(metric.scores.items() for metric in self.metric.values())
            known = ["loss", *ROUGE_TYPES, *(name for name, score in own if score.higher_is_better is not None)]
            valid = ", ".join(f"eval/{name}" for name in known)
            raise UserError(
                f"{key}: no metric '{best}'{nearest(name, known)} (valid: {valid}; all except loss also per "
                "language, as in eval/en/rougeL; ROUGE also with correct accents, as in eval/unicode/rougeL; "
                "metric=[...] adds others)"
            )
        if score.higher_is_better is None:
            raise UserError(f"{key}: neither higher nor lower is better for '{best}' ({score.description})")


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(Config):
    """The configuration of `bisum baseline`: an experiment and the split to score."""

    split: Literal["train", "validation", "test"]
    """Split to score lead-k on."""


@dataclass(frozen=True, kw_only=True)
class ExploreConfig(Config):
    """The configuration of `bisum explore`: an experiment and the part of its corpus to show."""

    split: Literal["train", "validation", "test"]
    """Split to show and plot; repeated and dropped rows are reported for every split."""
    explore: ExploreOptions
    """Amount of the corpus to show."""


@dataclass(frozen=True, kw_only=True)
class TrainedModelConfig(Config):
    """The configuration of a command that uses a trained model: an experiment and the model's weights."""

    run: Name | None
    """Run directory, to use its configuration and best checkpoint; or a checkpoint directory or hub name; null: the
    model in `model`, by default the starter."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.checkpoint is None:
            raise UserError(
                "model: has random weights; choose a trained model, such as model=starter, or name one after the "
                "command or with run=: a run directory, a checkpoint directory or a hub name"
            )

    def _check_best_metric(self) -> None:
        """Accept any metric: no checkpoint is selected here, so it can refer to other languages."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(TrainedModelConfig):
    """The configuration of `bisum evaluate`: a trained model and the split to score."""

    split: Literal["train", "validation", "test"]
    """Split to score the model on."""


@dataclass(frozen=True, kw_only=True)
class SummarizeConfig(TrainedModelConfig):
    """The configuration of `bisum summarize`: a trained model, the documents and the output format."""

    files: list[Name]
    """Files to summarize, in the given order; - is standard input."""
    unit: Literal["line", "file"]
    """Extent of one document in text files and standard input: a line or a whole file; JSON lines have one per line."""
    language: Language | None
    """Language code of documents that do not state their own; null: unknown."""
    format: Literal["text", "jsonl"]
    """Output format; text: one summary per line; jsonl: JSON lines with details of each document."""
    split: Literal["train", "validation", "test"] | None
    """Corpus split to summarize; null: test if rows or ids are given, otherwise none."""
    rows: (
        Annotated[
            list[Annotated[int, Ge(0), Le(1_000_000_000), doc("an id goes in ids=[...]")]],
            doc("write a list, such as rows=[3]"),
        ]
        | None
    )
    """Numbers of the rows to summarize, from 0 in the split; null: all rows, unless ids are given."""
    ids: Annotated[list[Name], doc("write a list, such as ids=[en-3]")] | None
    """Ids of the rows to summarize in the split; null: all rows, unless rows are given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.language is not None and not self.language.strip():
            raise UserError(f"language: '{self.language}' is not a language code; use codes such as en, es, pt_BR")
        for key, given in (("rows", self.rows), ("ids", self.ids)):
            if given == []:
                raise UserError(f"{key}: the list is empty; list some {key}, or omit {key} for all rows of the split")

    @property
    def selects_rows(self) -> bool:
        """Whether to summarize rows of the corpus."""
        return bool(self.split or self.rows or self.ids)


SCHEMAS: dict[str, type[Config]] = {
    "train": Config,
    "baseline": BaselineConfig,
    "explore": ExploreConfig,
    "evaluate": EvaluateConfig,
    "summarize": SummarizeConfig,
}
"""Schema of each primary configuration, by its name in `conf/NAME.yaml`."""


def check(
    values: Mapping[str, Any], command: str = "train", recorded: Recorded | None = None, **provenance: Any
) -> Config:
    """Return the checked configuration of plain data.

    Args:
        values: the configuration, with every interpolation resolved.
        command: the command to configure.
        recorded: the configuration to record; None: `values`, without the secrets in its URLs.
        provenance: further fields of `Provenance`.

    Raises:
        UserError: a line for each key that is unknown, missing, of the wrong type or out of range.
    """
    resolved = {**values, "resume": None}  # not part of the experiment
    recorded = recorded or record_of(values, lambda: values)
    recorded = replace(recorded, config={**recorded.config, "resume": None})
    origin = Provenance(command=command, resolved=resolved, recorded=recorded, **provenance)
    return build(SCHEMAS[command], values, provenance=origin)
