"""The Seq2SeqTrainer backend: its settings and the check of further training arguments."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bisum.errors import UserError, nearest
from bisum.interfaces.trainer import Trainer, TrainingDevice, TrainingSession

_SET_BY_BISUM = {
    "output_dir": "hydra.run.dir",
    "num_train_epochs": "trainer.epochs",
    "max_steps": "trainer.max_steps",
    "per_device_train_batch_size": "trainer.batch_size",
    "per_device_eval_batch_size": "evaluation.batch_size",
    "gradient_accumulation_steps": "trainer.gradient_accumulation",
    "gradient_checkpointing": "trainer.gradient_checkpointing",
    "activation_checkpointing": "trainer.gradient_checkpointing",
    "torch_compile": "trainer.compile",
    "torch_compile_backend": "trainer.compile",
    "torch_compile_mode": "trainer.compile",
    "learning_rate": "trainer.learning_rate",
    "optim": "trainer.optimizer",
    "lr_scheduler_type": "trainer.schedule",
    "warmup_steps": "trainer.warmup",
    "weight_decay": "trainer.weight_decay",
    "max_grad_norm": "trainer.max_gradient_norm",
    "label_smoothing_factor": "trainer.label_smoothing",
    "eval_strategy": "trainer.evaluate_every",
    "eval_steps": "trainer.evaluate_every",
    "save_strategy": "trainer.save_every",
    "save_steps": "trainer.save_every",
    "save_total_limit": "trainer.keep_checkpoints",
    "metric_for_best_model": "trainer.best_metric",
    "load_best_model_at_end": "trainer.best_metric",
    "logging_steps": "trainer.log_every",
    "predict_with_generate": "the keys of generation",
    "generation_max_length": "model.max_summary_tokens",
    "generation_num_beams": "generation.num_beams",
    "seed": "seed",
    "bf16": "hardware.precision",
    "fp16": "hardware.precision",
    "use_cpu": "hardware",
    "dataloader_num_workers": "hardware.data_loader_workers",
    "dataloader_pin_memory": "hardware.pin_memory",
    "resume_from_checkpoint": "resume",
}
"""Training arguments that bisum sets, each with the bisum key that controls it."""

_INEFFECTIVE = (
    *("adam_", "optim", "lr_scheduler_", "dataloader_", "train_sampling_strategy", "length_column_name"),
    *("eval_", "do_", "save_", "logging_", "log_level", "report_to", "run_name", "project", "trackio"),
    *(
        "hub_",
        "push_to_hub",
        "ignore_data_skip",
        "auto_find_batch_size",
        "load_best",
        "greater_is_better",
        "use_cache",
        "neftune",
        "accelerator_config",
    ),
)
"""Name prefixes of training arguments that bisum's own parts make ineffective, or that would interfere with them."""


_DISTRIBUTED = ("fsdp", "deepspeed", "ddp_", "parallelism_config", "local_rank", "tpu_")
"""Name prefixes of training arguments that distribute a run over processes."""


@dataclass(frozen=True, kw_only=True)
class TransformersTrainer(Trainer):
    """Backend that runs transformers' Seq2SeqTrainer with bisum's batches, loss, optimizer and session."""

    arguments: dict[str, Any]
    """Further arguments of `transformers.Seq2SeqTrainingArguments`, by name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.arguments:
            if name in _SET_BY_BISUM:
                raise UserError(f"arguments.{name}: set {_SET_BY_BISUM[name]} instead")
            if name.startswith(_INEFFECTIVE):
                raise UserError(
                    f"arguments.{name}: has no effect; bisum's own keys set batches, optimizer, evaluation, "
                    "checkpoints and records"
                )
            if name.startswith(_DISTRIBUTED):
                raise UserError(f"arguments.{name}: distributes a run over processes; bisum runs in one process")
            if name not in (known := training_argument_names()):
                raise UserError(
                    f"arguments.{name}: Seq2SeqTrainingArguments has no such argument{nearest(name, known)}"
                )

    def check(self, device: TrainingDevice) -> None:
        """See `Trainer.check`."""
        from bisum.training.transformers_backend import check

        check(self, self.arguments, device)

    def fit(self, session: TrainingSession) -> None:
        """See `Trainer.fit`."""
        from bisum.training.transformers_backend import fit

        fit(session, self, self.arguments)


@cache
def training_argument_names() -> frozenset[str]:
    """Return the field names of Seq2SeqTrainingArguments, parsed from source because importing it takes seconds."""
    spec = find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    names: set[str] = set()
    for file in ("training_args.py", "training_args_seq2seq.py"):
        tree = ast.parse((Path(spec.origin).parent / file).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("TrainingArguments"):
                fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
                names.update(item.target.id for item in fields if isinstance(item.target, ast.Name))
    return frozenset(names)
