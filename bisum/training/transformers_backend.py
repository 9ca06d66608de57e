"""The part of the Seq2SeqTrainer backend that imports transformers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, get_origin, get_type_hints

import torch
from accelerate.state import AcceleratorState
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback

from bisum.config.annotations import expected, members
from bisum.errors import UserError, one_line, shown
from bisum.hardware.xla import sync
from bisum.interfaces.trainer import Trainer, TrainingDevice, TrainingSession
from bisum.models.loss import count_all_tokens, token_loss
from bisum.training.optimization import gradient_norm

_PLAIN = (int, float, bool, str, dict, list)


class _Trainer(Seq2SeqTrainer):
    """Seq2SeqTrainer with the session's batches and loss, starting at the session's step."""

    session: TrainingSession
    step_loss: torch.Tensor
    step_rows: int
    grad_norm: torch.Tensor | None = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader that all backends share."""
        return cast(DataLoader[Any], self.session.batches)

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, torch.Tensor]], device: torch.device) -> Any:
        """Return the number of tokens in an accumulated batch."""
        return count_all_tokens(batch_samples, device) if batch_samples else None

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Process one part of an accumulated batch and add its loss to the step's."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.step_loss = self.step_loss + loss
        self.step_rows += len(inputs["input_ids"])
        sync(self.args.device)  # otherwise XLA compiles one program per sequence of batch shapes
        return loss

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: torch.Tensor | None = None) -> torch.Tensor:
        """Return the gradients' norm before clipping, and keep it for the session."""
        if grad_norm is None:  # without clipping, transformers would divide an infinite norm by itself
            self.accelerator.unscale_gradients(self.optimizer)
            grad_norm = gradient_norm(model)
        self.grad_norm = grad_norm.detach()
        return grad_norm

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return the context of a forward pass, which differs from Accelerate's only on an XLA device."""
        return self.session.device.autocast()

    def _move_model_to_device(self, *_: Any, **__: Any) -> None:
        """Do nothing: the model is already on the device, and transformers would retie its weights on a TPU."""

    def _load_from_checkpoint(self, *_: Any, **__: Any) -> None:
        """Do nothing: the model already has the checkpoint's weights."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Do nothing: optimizer and schedule already have the checkpoint's state."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Do nothing: the random generators are seeded before every step."""

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Do nothing: the session restores the scaler's state."""


class _Steps(TrainerCallback):
    """Callback that reports every step to the session."""

    def __init__(self, trainer: _Trainer) -> None:
        self.trainer = trainer
        self.session = trainer.session

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        self.session.begin_step()
        self.trainer.step_loss, self.trainer.step_rows = torch.zeros((), device=self.trainer.args.device), 0
        self.learning_rate = float(self.session.schedule.get_last_lr()[0])

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ARG002
        trainer = self.trainer
        self.session.end_step(trainer.step_loss, trainer.step_rows, self.learning_rate, trainer.grad_norm)
        control.should_training_stop = self.session.finished


def fit(session: TrainingSession, settings: Trainer, arguments: dict[str, Any]) -> None:
    """Train with Seq2SeqTrainer; the session evaluates, saves checkpoints and logs.

    `arguments` are further arguments of `Seq2SeqTrainingArguments`.
    """
    session.begin()
    if session.finished:
        return
    AcceleratorState._reset_state(reset_partial_state=True)  # left by an earlier job in this process
    with TemporaryDirectory(prefix="bisum-") as folder:
        built = training_arguments(settings, arguments, session.device, session.seed, folder)
        trainer = _build(session, settings, built)
        trainer.train(resume_from_checkpoint=_position(session.step, settings, Path(folder)))


def check(settings: Trainer, arguments: dict[str, Any], device: TrainingDevice) -> None:
    """Refuse training arguments that transformers would refuse, and wrong types that it does not check.

    Raises:
        UserError: an argument is refused; the message starts with it.
    """
    hints = get_type_hints(Seq2SeqTrainingArguments)
    for name, value in arguments.items():
        options = members(hints[name])
        is_plain = all(get_origin(option) or option in (*_PLAIN, type(None)) for option in options)
        allowed = tuple(get_origin(option) or option for option in options)
        if is_plain and type(value) not in (*allowed, *((int,) if float in allowed else ())):
            raise UserError(f"trainer.arguments.{name}: expected {expected(hints[name])}, not {shown(value)}")
    with TemporaryDirectory(prefix="bisum-") as folder:
        training_arguments(settings, arguments, device, 0, folder)
    AcceleratorState._reset_state(reset_partial_state=True)


def training_arguments(
    settings: Trainer, further: dict[str, Any], device: TrainingDevice, seed: int, folder: str
) -> Seq2SeqTrainingArguments:
    """Return the training arguments, including `further` ones, with `folder` for transformers' files.

    Raises:
        UserError: transformers refuses an argument.
    """
    values = {
        "output_dir": folder,
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "activation_checkpointing": settings.gradient_checkpointing,
        "max_grad_norm": settings.max_gradient_norm or 0.0,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "use_cache": not settings.gradient_checkpointing,
        "disable_tqdm": True,
        "seed": seed,
        "bf16": device.accelerate_precision == "bf16",
        "fp16": device.accelerate_precision == "fp16",
        "use_cpu": device.is_cpu,
        **further,
    }
    try:
        arguments = Seq2SeqTrainingArguments(**values)
    except Exception as error:  # the integrations that an argument enables can raise anything
        raise UserError(f"trainer.arguments: {one_line(error)}") from error
    arguments._n_gpu = min(arguments.n_gpu, 1)  # with several devices, transformers silently uses DataParallel
    return arguments


def _build(session: TrainingSession, settings: Trainer, arguments: Seq2SeqTrainingArguments) -> _Trainer:
    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any) -> torch.Tensor:
        return token_loss(outputs.logits, labels, num_items_in_batch, settings.label_smoothing)

    trainer = _Trainer(
        model=session.model,
        args=arguments,
        train_dataset=cast(DataLoader[Any], session.batches).dataset,
        compute_loss_func=loss,
        optimizers=(session.optimizer, cast(LambdaLR, session.schedule)),
    )
    trainer.session = session
    trainer.accelerator.device_placement = False  # everything is already placed, AdamW's step counts on the CPU
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_Steps(trainer))
    if trainer.accelerator.scaler is not None:
        session.attach_scaler(trainer.accelerator.scaler)
    return trainer


def _position(step: int, settings: Trainer, folder: Path) -> str | None:
    """Save a Trainer state at `step` in `folder` and return the folder; return None at step 0."""
    if step == 0:
        return None
    state = TrainerState(global_step=step, train_batch_size=settings.batch_size)
    state.save_to_json(str(folder / TRAINER_STATE_NAME))
    return str(folder)
