"""The schema of the nodes below a run's configuration: what each key may be and what it changes.

Values and defaults are in `conf/`. Nothing here imports torch, transformers or datasets.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, doc

from bisum.errors import UserError, shown, without_secrets
from bisum.interfaces.architecture import Architecture
from bisum.interfaces.family import Family
from bisum.interfaces.text import Name

PJRT_DEVICE = os.environ.get("PJRT_DEVICE")
"""The XLA device that the user chose; read early, since importing torch_xla sets it to CPU where it finds no TPU."""


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Decoding, the same in training-time and final evaluation; the length limit is `model.max_summary_tokens`."""

    num_beams: Annotated[int, Ge(1), Le(64)]
    """Beams kept in beam search; 1 is greedy decoding."""
    length_penalty: Annotated[float, Ge(-100), Le(100)]
    """Exponent on the length that divides a beam's log-probability: above 0 favours longer summaries."""
    early_stopping: bool | Literal["never"]
    """When beam search ends: with `num_beams` finished summaries (true), or when a better one is unlikely (false) or
    impossible (never)."""
    no_repeat_ngram_size: Annotated[int, Ge(0), Le(1000)]
    """Length in tokens of n-grams that may not occur twice in a summary; 0 allows all."""
    min_tokens: Annotated[int, Ge(0), Le(100_000)]
    """Fewest tokens before the end of the summary may be generated."""


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Scoring of a split, and the baseline beside it."""

    batch_size: Annotated[int, Ge(1), Le(65_536)]
    """Rows generated at once; changes speed and memory only."""
    lead: Annotated[int, Ge(1), Le(1000)]
    """Sentences from the start of a document that make the lead-k baseline."""
    bootstrap_samples: Annotated[int, Ge(100), Le(1_000_000)]
    """Resamplings of the rows behind each 95 % interval; more make the bounds steadier."""
    shown_summaries: Annotated[int, Ge(0), Le(1000)]
    """Validation rows of each language printed with their summaries after every evaluation."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A pretrained checkpoint, or an architecture with random weights, and how text meets it."""

    checkpoint: Name | None
    """Local directory, hub name or `pkg://PACKAGE` of a pretrained model; null: random weights of `architecture`."""
    revision: Name | None
    """Commit of the hub repository, so that the same name gives the same weights; null: its newest."""
    pickled_weights: bool
    """Whether weights may be read from `pytorch_model.bin`, by torch's unpickler that runs no code."""
    architecture: Architecture | None
    """A `_target_` node that builds a model with random weights; not used when `checkpoint` is given."""
    family: Family | None
    """A `_target_` node with what is particular to the model; null: chosen by the checkpoint's `model_type`."""
    prefix: str | None
    """Text put before each document; null: what the checkpoint's own configuration says for summarization, or none."""
    suffix: str | None
    """Text put after each document, as GPT-2 is told `TL;DR:`; null: what the checkpoint says, or none."""
    max_document_tokens: Annotated[int, Ge(8), Le(1_000_000)]
    """Tokens of a document, with prefix, suffix and special tokens; longer documents are cut at their end."""
    max_summary_tokens: Annotated[int, Ge(2), Le(100_000)]
    """Tokens of a summary with its end-of-sequence token: cut in training, the limit in generation."""

    def __post_init__(self) -> None:
        if "://" in (self.checkpoint or "") and not str(self.checkpoint).startswith("pkg://"):
            raise UserError(
                f"checkpoint: '{without_secrets(str(self.checkpoint))}' is a URL; give a directory, the name of a hub "
                "model such as google/mt5-small, or pkg://PACKAGE"
            )
        if self.checkpoint is None and self.architecture is None:
            raise UserError("has neither checkpoint (a directory or hub name) nor architecture (random weights)")
        if self.checkpoint is None and self.revision is not None:
            raise UserError("revision is given without checkpoint, the repository it belongs to")
        for name, text in (("prefix", self.prefix), ("suffix", self.suffix)):
            if "\\n" in (text or ""):
                raise UserError(
                    f"{name}: write a line break as one, not as \\n; in bash $'model.{name}=\"...\\n\"' does"
                )


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """One device, its number format and how rows reach it."""

    device: Literal["auto", "cpu", "gpu", "tpu"]
    """Where the model lives; auto takes a GPU if there is one, else the CPU."""
    precision: Literal["auto", "float32", "bf16", "fp16"]
    """Number format of the forward pass (weights are float32); auto: bf16 on a GPU or TPU that has it, else float32."""
    data_loader_workers: Annotated[int, Ge(0), Le(256)]
    """Processes that collate batches ahead of the device; 0 collates in the main process."""
    pin_memory: bool
    """Collate into page-locked memory, which a GPU copies from faster; without a GPU it changes nothing."""
    length_buckets: Annotated[int, Ge(1), Le(1000)] | None
    """Most document lengths, in tokens and chosen from the corpus, that batches are padded to; batches then have all
    their rows and summaries one length, so that XLA compiles few programs. null: the longest row's length."""


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """How much of a corpus is shown; everything is counted."""

    samples: Annotated[int, Ge(0), Le(10_000)]
    """Rows of each language shown side by side, of those that the filters keep."""
    dropped: Annotated[int, Ge(0), Le(10_000)]
    """Rows of each language shown of those that each filter drops."""
    categories: Annotated[int, Ge(1), Le(10_000)]
    """Categories shown, those with the largest shares of the languages' rows."""


@dataclass(frozen=True, kw_only=True)
class DebugOptions:
    """Checks of a training; `debug=overfit` and `debug=profile` set them with what suits them."""

    overfit: bool
    """Train without dropout on one batch, which is also validated and tested, until its loss is below overfit_loss."""
    overfit_loss: Annotated[float, Gt(0), Le(1e6)]
    """Loss below which debug.overfit stops: the mean over the batch's summary tokens."""
    profile: bool
    """Record a few training steps with torch's profiler: a trace for Perfetto, the most expensive operators."""
    profile_steps: Annotated[int, Ge(1), Le(1000)]
    """Steps that debug.profile records, after three of warmup; an evaluation or a checkpoint ends it sooner."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The jobs of a sweep, and how they run; nothing here changes what a job computes."""

    parallel: Literal["auto"] | Annotated[int, Ge(1), Le(1024)]
    """Jobs that run at once; auto: one on each GPU, or one without a GPU. They share the CPU's cores."""
    fail_fast: bool
    """Stop at the first job that fails, instead of running the others; running jobs save a checkpoint and stop."""
    retries: Annotated[int, Ge(0), Le(100)]
    """How often a failed job runs again at once, unless its input is bad; resuming runs all failed jobs again."""
    wait: bool
    """Wait for the jobs that Slurm runs; false: submit them, and leave it to `bisum resume=` to collect them."""
    timeout: Annotated[float, Gt(0), Le(1e6)] | None
    """Minutes without progress after which a job fails, since it hangs; null: jobs may take as long as they like."""
    zip: Annotated[list[Name], doc("write a list, such as sweep.zip=[model,trainer.learning_rate]")]
    """Swept keys that advance together: the first values of all make a job, then the second ones, and so on."""
    jobs: Annotated[
        list[Annotated[list[Name], MinLen(1)]], doc('write quoted arguments, such as [["seed=1"],["seed=2"]]')
    ]
    """Jobs as lists of arguments, such as ["model=starter","seed=1"]; each is combined with the swept values."""


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """What a job asks Slurm for; further options of sbatch are taken from its variables, such as SBATCH_EXCLUSIVE."""

    partition: Name | None
    """Partition; null: the cluster's default."""
    time: Annotated[int, Ge(1), Le(1_000_000)]
    """Minutes that a job may run before it saves a checkpoint, is queued again and resumes."""
    gpus: Annotated[int, Ge(0), Le(64)]
    """GPUs of a job; one is all that a training uses."""
    cpus: Annotated[int, Ge(1), Le(1024)]
    """CPU cores of a job, and its threads."""
    memory: Annotated[float, Gt(0), Le(100_000)] | None
    """Memory of a job in GiB; null: the cluster's default."""
    account: Name | None
    """Account that is charged; null: the user's default."""
    qos: Name | None
    """Quality of service; null: the default."""
    constraint: Name | None
    """Features of nodes, such as a100; null: any."""
    array_size: Annotated[int, Ge(1), Le(100_000)]
    """Most jobs of one array; further ones are submitted as further arrays."""
    signal_delay: Annotated[int, Ge(10), Le(65_535)]
    """Seconds before the time limit at which Slurm sends the signal to save a checkpoint."""
    max_timeouts: Annotated[int, Ge(0), Le(10_000)]
    """How many times a job that reaches its time limit is queued again."""

    def __post_init__(self) -> None:
        # They are written into a shell script, and a YAML file may be a stranger's.
        for name in ("partition", "account", "qos", "constraint"):
            if (text := getattr(self, name)) and not re.fullmatch(r"[\w.,:+@&|()\[\]*-]+", text):
                raise UserError(f"{name}: expected a name, without blanks and quotes, not {shown(text)}")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """A search by Optuna: how trials are chosen, which are cut short, and where they are kept."""

    sampler: Literal["tpe", "random", "grid", "cmaes"]
    """What chooses the values of a trial: a tree-structured Parzen estimator (Bergstra et al. 2011), chance, a grid of
    all listed values, or CMA-ES (Hansen 2016), which searches only intervals."""
    trials: Annotated[int, Ge(1), Le(10_000)]
    """Trials in all, pruned and failed ones included; a grid ends with its last combination."""
    objective: Name | Annotated[list[Name], MinLen(1), MaxLen(2)]
    """Score of the validation split to optimize, in its own direction, such as eval/chrf; two in a list give a Pareto
    front; auto: the one that selects checkpoints, `trainer.best_metric`."""
    pruner: Literal["median", "hyperband"] | None
    """What ends a trial early, after any of its evaluations: a score worse than the median of the finished trials after
    as many evaluations, or Hyperband (Li et al. 2018); null: nothing, required for two objectives."""
    startup_trials: Annotated[int, Ge(0), Le(10_000)]
    """First trials, whose values are drawn at random, and finished trials before the median ends any."""
    min_evaluations: Annotated[int, Ge(1), Le(10_000)]
    """Evaluations of a trial before it may be ended early."""
    seed: Annotated[int, Ge(0), Lt(2**32)]
    """Source of the sampler's randomness; `seed` is that of each trial's training."""
    storage: Name | None
    """URL of a database that holds the trials, such as postgresql://USER@HOST/optuna, which machines without a shared
    file system can share; null: the file optuna.journal in the sweep's directory."""
    study: Name | None
    """Name of the study in that database: searches that name the same one share its trials."""

    def __post_init__(self) -> None:
        if (self.storage is None) != (self.study is None):
            given, lacking = ("study", "storage") if self.storage is None else ("storage", "study")
            raise UserError(f"{lacking}: required with {given}")
        if self.storage is not None and "://" not in self.storage:
            raise UserError(f"storage: '{self.storage}' is not a URL, such as postgresql://USER@HOST/optuna")
        if len(set(self.objectives)) < len(self.objectives):
            raise UserError(f"objective: names '{self.objectives[0]}' twice")
        if len(self.objectives) > 1 and self.pruner is not None:
            raise UserError("pruner: Optuna prunes for one objective only, not for two; use search.pruner=null")

    @property
    def objectives(self) -> list[str]:
        """The names of the scores."""
        return [self.objective] if isinstance(self.objective, str) else self.objective


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What `bisum compare` shows, and how."""

    by: Name
    """Score that ranks and is tested, such as rougeL or chrf; auto: ROUGE-L in the profile that the runs show."""
    split: Literal["auto", "train", "validation", "test"]
    """Split whose scores are compared; auto: test if a run has scored it, else validation."""
    language: Name | None
    """Code of the language whose rows are compared; null: all rows."""
    metrics: Annotated[list[Name], doc("write a list, such as metrics=[rouge1,chrf]")]
    """Further scores to show, without tests."""
    pair: Annotated[list[Annotated[int, Ge(1)]], MinLen(2), MaxLen(2)] | None
    """Numbers of two systems in the table whose rows are compared, as [1,3]; null: the best and the next."""
    rows: Annotated[int, Ge(0), Le(1000)]
    """Rows shown on which the two systems differ most."""
    samples: Annotated[int, Ge(1000), Le(1_000_000)]
    """Resamples of the rows behind each test."""
    format: Literal["table", "markdown", "csv", "json", "latex", "html", "wandb"]
    """What is written: tables for the terminal, or one of these formats; wandb is a saved W&B workspace."""
    output: Name | None
    """File to write; null: standard output, or for html and wandb a file in the compared folder."""
