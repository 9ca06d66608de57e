"""The schema of the nodes in a configuration: the type, range and meaning of each key.

Defaults are in `conf/`. Nothing here imports torch, transformers or datasets.
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
"""The user's choice of XLA device; read early, since importing torch_xla without a TPU sets the variable to CPU."""


MAX_NGRAM_SIZE = 1000
"""Maximum length of banned n-grams."""


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Decoding, identical in all evaluations; the length limit is `model.max_summary_tokens`."""

    num_beams: Annotated[int, Ge(1), Le(64)]
    """Number of beams in beam search; 1 is greedy decoding."""
    length_penalty: Annotated[float, Ge(-100), Le(100)]
    """Exponent of the length that divides a beam's log-probability; values above 0 favour longer summaries."""
    early_stopping: bool | Literal["never"]
    """When beam search ends: after `num_beams` finished summaries (true), or when a better one is unlikely (false) or
    impossible (never)."""
    no_repeat_ngram_size: Annotated[int, Ge(0), Le(MAX_NGRAM_SIZE)] | None
    """Length in tokens of n-grams that cannot occur twice in a summary; 0 allows all repetition. null: the value in
    the checkpoint's `generation_config.json`, or 0 if it has none."""
    min_tokens: Annotated[int, Ge(0), Le(100_000)]
    """Minimum length of a summary in tokens."""
    engine: Literal["auto", "transformers", "ctranslate2"]
    """Library that generates; ctranslate2: CTranslate2 (extra `fast`), on a CPU; auto: ctranslate2 for greedy decoding
    with the models for which the tests find the same summaries, otherwise transformers."""
    quantization: Literal["none", "int8"]
    """Number format of the weights in ctranslate2; none: float32; int8 is faster and changes some summaries."""

    def __post_init__(self) -> None:
        if self.quantization != "none" and self.engine != "ctranslate2":
            raise UserError(f"quantization: {self.quantization} needs generation.engine=ctranslate2")


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Scoring of a split, and of its lead-k baseline."""

    batch_size: Annotated[int, Ge(1), Le(65_536)]
    """Maximum number of rows in a batch of generation; affects only speed and memory."""
    lead: Annotated[int, Ge(1), Le(1000)]
    """Number of leading sentences in the lead-k baseline."""
    bootstrap_samples: Annotated[int, Ge(100), Le(1_000_000)]
    """Number of bootstrap resamples for each 95% interval; more give steadier bounds."""
    shown_summaries: Annotated[int, Ge(0), Le(1000)]
    """Number of validation rows per language to print with their summaries after each evaluation."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """A pretrained checkpoint or an architecture with random weights, and its text limits."""

    checkpoint: Name | None
    """Local directory, hub name or `pkg://PACKAGE` of a pretrained model; null: random weights from `architecture`."""
    revision: Name | None
    """Commit of the hub repository, which fixes the weights; null: the newest."""
    base: Name | None
    """Location of an adapter's base: local directory, hub name or `pkg://PACKAGE`; its weights must equal the
    original's; null: the recorded location."""
    pickled_weights: bool
    """Whether to allow weights in `pytorch_model.bin`, read by torch's safe loader, which runs no code."""
    architecture: Architecture | None
    """A `_target_` node that builds a model with random weights; ignored if `checkpoint` is set."""
    family: Family | None
    """A `_target_` node that adapts loading, encoding and generation to the model; null: chosen by `model_type`."""
    prefix: str | None
    """Text before each document; null: the summarization prefix in the checkpoint's configuration, if any."""
    suffix: str | None
    """Text after each document, such as `TL;DR:` for GPT-2; null: the one in the checkpoint's configuration, if any."""
    max_document_tokens: Annotated[int, Ge(8), Le(1_000_000)]
    """Maximum length of a document in tokens, including prefix, suffix and special tokens."""
    max_summary_tokens: Annotated[int, Ge(2), Le(100_000)]
    """Maximum length of a summary in tokens, including the end-of-sequence token, in training and generation."""
    long_documents: Literal["truncate", "chunk"]
    """How evaluate and summarize read documents above `max_document_tokens`; truncate: only their beginning, as in
    training; chunk: all of it, in windows of whole sentences that are summarized one by one."""
    chunk_summaries: Literal["summarize", "join"]
    """How the summaries of a document's windows become its summary; summarize: join and summarize them again, until the
    text fits one window; join: only join them."""
    trim_vocabulary: bool
    """Whether a new training keeps only the tokens that its rows and their scripts need, in tokenizer, embeddings and
    head. Training rows are cut as before, and no text gets more unknown tokens."""

    def __post_init__(self) -> None:
        for name, place in (("checkpoint", self.checkpoint), ("base", self.base)):
            if "://" in (place or "") and not str(place).startswith("pkg://"):
                raise UserError(
                    f"{name}: '{without_secrets(str(place))}' is a URL; give a directory, a hub name such as "
                    "google/mt5-small, or pkg://PACKAGE"
                )
        if self.checkpoint is None and self.architecture is None:
            raise UserError("needs a checkpoint (directory or hub name) or an architecture (random weights)")
        if self.checkpoint is None and self.revision is not None:
            raise UserError("revision: needs a checkpoint, the hub repository it belongs to")
        if self.checkpoint is None and self.base is not None:
            raise UserError("base: needs a checkpoint, the adapter that it belongs to")
        for name, text in (("prefix", self.prefix), ("suffix", self.suffix)):
            if "\\n" in (text or ""):
                raise UserError(f"{name}: contains \\n, not a line break; in bash, write $'model.{name}=\"...\\n\"'")


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """One device, its number format and its data loading."""

    device: Literal["auto", "cpu", "gpu", "tpu"]
    """Device of the model; auto: a GPU if available, otherwise the CPU."""
    precision: Literal["auto", "float32", "bf16", "fp16"]
    """Number format of the forward pass (weights are float32); auto: bf16 on a GPU or TPU that supports it,
    otherwise float32."""
    data_loader_workers: Annotated[int, Ge(0), Le(256)]
    """Number of processes that collate batches ahead of the device; 0: the main process does."""
    pin_memory: bool
    """Collate into page-locked memory, for faster copies to a GPU; no effect without a GPU."""
    length_buckets: Annotated[int, Ge(1), Le(1000)] | None
    """Maximum number of document lengths to pad batches to, chosen from the corpus. All batches are full and share one
    summary length, so XLA compiles few programs. null: pad each batch to its longest row."""


def check_long_documents(command: str, model: ModelOptions, hardware: HardwareOptions) -> None:
    """Raise UserError if a command cannot read long documents in windows, as `model` requires."""
    if model.long_documents == "truncate":
        return
    if command == "train":
        raise UserError("model.long_documents: chunk applies to evaluate and summarize; training cuts documents")
    if command == "evaluate" and hardware.length_buckets is not None:
        raise UserError(
            "model.long_documents: chunk does not support fixed shapes; use hardware=cpu or gpu, with "
            "hardware.length_buckets=null"
        )


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """Amount of a corpus to show; counts always cover all rows."""

    samples: Annotated[int, Ge(0), Le(10_000)]
    """Number of kept rows per language to show side by side."""
    dropped: Annotated[int, Ge(0), Le(10_000)]
    """Number of rows dropped by each filter to show, per language."""
    categories: Annotated[int, Ge(1), Le(10_000)]
    """Number of categories to show: those with the largest shares of the languages' rows."""


@dataclass(frozen=True, kw_only=True)
class DebugOptions:
    """Checks of a training run; `debug=overfit` and `debug=profile` also set suitable values of other keys."""

    overfit: bool
    """Train, validate and test on a single batch, without dropout, until its loss is below overfit_loss."""
    overfit_loss: Annotated[float, Gt(0), Le(1e6)]
    """Loss below which debug.overfit stops, a mean over the batch's summary tokens."""
    profile: bool
    """Record a few training steps with torch's profiler: a trace for Perfetto and the most expensive operators."""
    profile_steps: Annotated[int, Ge(1), Le(1000)]
    """Number of steps to record after three warmup steps; an evaluation or checkpoint ends the recording early."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The jobs of a sweep and how they run; none of it changes a job's results."""

    parallel: Literal["auto"] | Annotated[int, Ge(1), Le(1024)]
    """Number of jobs that run at once and share the CPU cores; auto: one per GPU, or one without a GPU."""
    fail_fast: bool
    """Stop the sweep when a job fails; running jobs save a checkpoint first."""
    retries: Annotated[int, Ge(0), Le(100)]
    """Number of immediate reruns of a failed job, except on bad input; resuming reruns all failed jobs."""
    wait: bool
    """Wait for Slurm jobs to finish; false: submit them and exit, to collect them later with `bisum resume=`."""
    timeout: Annotated[float, Gt(0), Le(1e6)] | None
    """Minutes without progress after which a job counts as hung and fails; null: no limit."""
    zip: Annotated[list[Name], doc("write a list, such as sweep.zip=[model,trainer.learning_rate]")]
    """Swept keys that advance together: one job with the first value of each, one with the second, and so on."""
    jobs: Annotated[
        list[Annotated[list[Name], MinLen(1)]], doc('write quoted arguments, such as [["seed=1"],["seed=2"]]')
    ]
    """Jobs as lists of arguments, such as ["model=starter","seed=1"], each combined with the swept values."""


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """Resources of a Slurm job; sbatch reads further options from its variables, such as SBATCH_EXCLUSIVE."""

    partition: Name | None
    """Partition to submit to; null: the cluster's default."""
    time: Annotated[int, Ge(1), Le(1_000_000)]
    """Time limit of a job in minutes, after which it saves a checkpoint, is requeued and resumes."""
    gpus: Annotated[int, Ge(0), Le(64)]
    """Number of GPUs per job; training uses at most one."""
    cpus: Annotated[int, Ge(1), Le(1024)]
    """Number of CPU cores, and of threads, per job."""
    memory: Annotated[float, Gt(0), Le(100_000)] | None
    """Memory per job in GiB; null: the cluster's default."""
    account: Name | None
    """Account to charge; null: the user's default."""
    qos: Name | None
    """Quality of service; null: the default."""
    constraint: Name | None
    """Required node features, such as a100; null: any node."""
    array_size: Annotated[int, Ge(1), Le(100_000)]
    """Maximum number of jobs in one array; larger sweeps are submitted as several arrays."""
    signal_delay: Annotated[int, Ge(10), Le(65_535)]
    """Seconds before the time limit when Slurm signals the job to save a checkpoint."""
    max_timeouts: Annotated[int, Ge(0), Le(10_000)]
    """Number of times a job is requeued after reaching its time limit."""

    def __post_init__(self) -> None:
        # These go into a shell script, and the YAML file may be untrusted.
        for name in ("partition", "account", "qos", "constraint"):
            if (text := getattr(self, name)) and not re.fullmatch(r"[\w.,:+@&|()\[\]*-]+", text):
                raise UserError(f"{name}: expected a name without spaces or quotes, not {shown(text)}")


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """An Optuna search: how trials are chosen, when they are pruned and where they are stored."""

    sampler: Literal["tpe", "random", "grid", "cmaes"]
    """How trials are chosen: tpe, a tree-structured Parzen estimator (Bergstra et al. 2011); random; grid, all listed
    values; or cmaes, CMA-ES (Hansen 2016), for intervals only."""
    trials: Annotated[int, Ge(1), Le(10_000)]
    """Total number of trials, including pruned and failed ones; a grid can end earlier, with its last combination."""
    objective: Name | Annotated[list[Name], MinLen(1), MaxLen(2)]
    """Validation score to optimize in its own direction, such as eval/chrf; a list of two gives a Pareto front; auto:
    `trainer.best_metric`."""
    pruner: Literal["median", "hyperband"] | None
    """Rule that ends a trial early: median, if its score is worse than the median of finished trials after the same
    number of evaluations, or hyperband (Li et al. 2018); null: no pruning, required for two objectives."""
    startup_trials: Annotated[int, Ge(0), Le(10_000)]
    """Number of random trials before the sampler starts, and of finished trials before median pruning starts."""
    min_evaluations: Annotated[int, Ge(1), Le(10_000)]
    """Number of evaluations before a trial can be pruned."""
    seed: Annotated[int, Ge(0), Lt(2**32)]
    """Seed of the sampler; the top-level `seed` is for training."""
    storage: Name | None
    """Database URL for the trials, such as postgresql://USER@HOST/optuna, to share them without a shared file system;
    null: the file optuna.journal in the sweep directory."""
    study: Name | None
    """Name of the study in the database; searches with the same name share its trials; null if storage is null."""

    def __post_init__(self) -> None:
        if (self.storage is None) != (self.study is None):
            given, missing = ("study", "storage") if self.storage is None else ("storage", "study")
            raise UserError(f"{missing}: required with {given}")
        if self.storage is not None and "://" not in self.storage:
            raise UserError(f"storage: '{self.storage}' is not a URL; use one such as postgresql://USER@HOST/optuna")
        if len(set(self.objectives)) < len(self.objectives):
            raise UserError(f"objective: lists '{self.objectives[0]}' twice")
        if len(self.objectives) > 1 and self.pruner is not None:
            raise UserError("pruner: Optuna prunes only with one objective; for two, use search.pruner=null")

    @property
    def objectives(self) -> list[str]:
        """The names of the scores."""
        return [self.objective] if isinstance(self.objective, str) else self.objective


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Contents and format of a comparison."""

    by: Name
    """Score to rank and test by, such as rougeL or chrf; auto: ROUGE-L in the profile that the runs report."""
    split: Literal["auto", "train", "validation", "test"]
    """Split to compare scores on; auto: test if any run scored it, otherwise validation."""
    language: Name | None
    """Language code of the rows to compare; null: all rows."""
    metrics: Annotated[list[Name], doc("write a list, such as metrics=[rouge1,chrf]")]
    """Further scores to show, without tests."""
    pair: Annotated[list[Annotated[int, Ge(1)]], MinLen(2), MaxLen(2)] | None
    """Table numbers of two systems to compare row by row, as in [1,3]; null: the best and the next."""
    rows: Annotated[int, Ge(0), Le(1000)]
    """Number of rows to show: those on which the two systems differ most."""
    samples: Annotated[int, Ge(1000), Le(1_000_000)]
    """Number of resamples of the rows in each test."""
    format: Literal["table", "markdown", "csv", "json", "latex", "html", "wandb"]
    """Output format; table: tables for the terminal; wandb: a saved W&B workspace."""
    output: Name | None
    """File to write; null: standard output, or a file in the compared folder for html and wandb."""
