"""The Accelerate backend, a plain training loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bisum.interfaces.trainer import Trainer, TrainingSession


@dataclass(frozen=True, kw_only=True)
class AccelerateTrainer(Trainer):
    """Backend with its own training loop; Accelerate handles precision, loss scaling and gradient clipping."""

    def fit(self, session: TrainingSession) -> None:
        """See `Trainer.fit`."""
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        from bisum.hardware.xla import sync
        from bisum.models.loss import count_all_tokens, token_loss
        from bisum.training.optimization import gradient_norm

        AcceleratorState._reset_state(reset_partial_state=True)  # left by an earlier job in this process
        accelerator = Accelerator(
            mixed_precision=session.device.accelerate_precision,
            cpu=session.device.is_cpu,
            device_placement=False,  # everything is already placed, AdamW's step counts on the CPU
        )
        model, optimizer = accelerator.prepare(session.model, session.optimizer)
        if accelerator.scaler is not None:
            session.attach_scaler(accelerator.scaler)
        if self.gradient_checkpointing:
            session.model.gradient_checkpointing_enable()

        session.begin()
        while not session.finished:
            epoch, steps_done = divmod(session.step, session.steps_per_epoch)
            session.batches.set_epoch(epoch)
            # Batches depend only on (seed, epoch), so skipping the finished ones resumes exactly.
            for batches in _groups(session.batches, self.gradient_accumulation, skip=steps_done):
                session.begin_step()
                model.train()
                tokens = count_all_tokens(batches, accelerator.device)
                batches = [{name: tensor.to(accelerator.device) for name, tensor in batch.items()} for batch in batches]
                step_loss: Any = 0.0
                for batch in batches:
                    labels = batch.pop("labels")
                    with session.device.autocast():
                        logits = model(**batch).logits
                    loss = token_loss(logits, labels, tokens, self.label_smoothing)
                    accelerator.backward(loss)
                    step_loss = step_loss + loss.detach()
                    sync(accelerator.device)  # otherwise XLA compiles one program per sequence of batch shapes
                if self.max_gradient_norm is not None:
                    grad_norm = accelerator.clip_grad_norm_(model.parameters(), self.max_gradient_norm)
                else:
                    accelerator.unscale_gradients(optimizer)
                    grad_norm = gradient_norm(session.model)
                learning_rate = float(session.schedule.get_last_lr()[0])
                optimizer.step()
                if not optimizer.step_was_skipped:
                    session.schedule.step()
                optimizer.zero_grad()
                rows = sum(len(batch["input_ids"]) for batch in batches)
                session.end_step(step_loss, rows, learning_rate, grad_norm)
                if session.finished:
                    break


def _groups(batches: Iterable[Any], size: int, skip: int) -> Iterator[list[Any]]:
    """Yield lists of `size` batches (the last can be shorter), skipping the first `skip` lists."""
    iterator = iter(batches)
    next(islice(iterator, skip * size, skip * size), None)
    while group := list(islice(iterator, size)):
        yield group
