"""Settings that do not suit batches of varying numbers of rows."""

from __future__ import annotations

from bisum.config.options import DebugOptions, HardwareOptions
from bisum.errors import UserError
from bisum.interfaces.source import Source
from bisum.interfaces.trainer import Trainer


def check_tokens_per_batch(trainer: Trainer, hardware: HardwareOptions, corpus: Source, debug: DebugOptions) -> None:
    """Raise UserError if `trainer.tokens_per_batch` is set together with a key that needs a fixed number of rows."""
    if trainer.tokens_per_batch is None:
        return
    conflicts = {
        "hardware.length_buckets": hardware.length_buckets is not None and "its shapes have a fixed number of rows",
        "corpus.language_temperature": corpus.language_temperature != 1
        and "its epochs would differ in their number of batches",
        "debug.overfit": debug.overfit and "its batch has trainer.batch_size rows",
    }
    for key, reason in conflicts.items():
        if reason:
            raise UserError(f"trainer.tokens_per_batch: cannot be combined with {key}, since {reason}; use only one")
