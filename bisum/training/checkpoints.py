"""Checkpoints: written atomically, verified when read, pruned without losing the best."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.optim import Optimizer
from transformers import PreTrainedModel

from bisum.errors import UserError, one_line, printable
from bisum.models.lora import load_lora
from bisum.models.weights import find_non_finite
from bisum.runs.checkpoints import (
    MANIFEST,
    OPTIMIZER,
    STATE,
    checkpoints_in,
    damage,
    epoch_name,
    epoch_of,
    is_adapter,
    weights_file,
)
from bisum.runs.files import digest, flush
from bisum.training.optimization import state_shapes, updated_weights

_WEIGHT = "weight"
"""Name of a weight in the optimizer's file, beside its state."""
_ASIDE = re.compile(r"\.epoch-\d+(\.\d+)?\.(partial|replaced)")


@dataclass(frozen=True)
class CheckpointStore:
    """The checkpoints of one run: folders `epoch-<n>`, where n counts the epochs trained (fractional in mid-epoch)."""

    directory: Path

    def save(self, epoch: float, write: Callable[[Path], None]) -> Path:
        """Create a checkpoint atomically; `write` fills its folder.

        A process killed at any time leaves either a complete checkpoint or none: the files are written to a hidden
        folder, listed with their SHA-256 in a manifest and flushed to disk; then the folder is renamed.
        """
        final = self.directory / epoch_name(epoch)
        aside = self.directory / f".{final.name}.partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            write(aside)
            files = sorted(path for path in aside.rglob("*") if path.is_file())
            manifest = {str(path.relative_to(aside)): digest(path) for path in files}
            (aside / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            for path in [*files, aside / MANIFEST, aside]:
                flush(path)
        except Exception:
            shutil.rmtree(aside, ignore_errors=True)  # frees the space of a full disk
            raise
        replaced = self.directory / f".{final.name}.replaced"
        if final.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            final.rename(replaced)
        aside.rename(final)
        flush(self.directory)
        shutil.rmtree(replaced, ignore_errors=True)
        return final

    def newest_intact(self, warn: Callable[[str], None]) -> Path | None:
        """Return the newest intact checkpoint, or None; call `warn` for each damaged one, which is set aside."""
        self._clean_up()
        for path in reversed(checkpoints_in(self.directory)):
            problem = flaw(path)
            if problem is None:
                return path
            aside = self._set_aside(path, "damaged")
            warn(f"checkpoint {path.name} is damaged ({problem}); renamed to {aside}")
        return None

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint, which can be damaged."""
        return next(reversed(checkpoints_in(self.directory)), None)

    def set_aside_after(self, epoch: float, why: str) -> dict[str, str]:
        """Rename the checkpoints that are newer than `epoch` to `<why>-epoch-<n>`; return new names by old."""
        later = [path for path in checkpoints_in(self.directory) if epoch_of(path) > epoch]
        return {path.name: self._set_aside(path, why) for path in later}

    def _set_aside(self, path: Path, why: str) -> str:
        aside = path.with_name(f"{why}-{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        return aside.name

    def _clean_up(self) -> None:
        """Clean up after a killed process: restore a replaced checkpoint, delete a partial one."""
        for aside in self.directory.glob(".epoch-*"):
            if not _ASIDE.fullmatch(aside.name):
                continue
            final = self.directory / aside.name.removeprefix(".").removesuffix(".replaced")
            if aside.name.endswith(".replaced") and not final.exists():
                aside.rename(final)
            else:
                shutil.rmtree(aside)

    def prune(self, keep: int | None, best: str | None) -> None:
        """Delete all but the `keep` newest checkpoints and the one named `best`."""
        if keep is None:
            return
        for path in checkpoints_in(self.directory)[:-keep]:
            if path.name != best:
                shutil.rmtree(path)


def write_training_state(folder: Path, optimizer: Optimizer, state: dict[str, Any], *, with_weights: bool) -> None:
    """Save the training state except the model: the optimizer's state and `state` (JSON).

    `with_weights`: also save the weights that the optimizer updates, since the model is saved with their average.
    """
    tensors: dict[str, torch.Tensor] = {}
    if with_weights:
        for index, weight in enumerate(updated_weights(optimizer)):
            tensors[f"{index}.{_WEIGHT}"] = weight.detach().cpu().contiguous()
    scalars: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.cpu().contiguous()
            else:
                scalars[f"{index}.{name}"] = value
    save_file(tensors, folder / OPTIMIZER)
    (folder / STATE).write_text(json.dumps({**state, "optimizer": scalars}), encoding="utf-8")


def read_training_state(folder: Path, optimizer: Optimizer, *, with_weights: bool) -> dict[str, Any]:
    """Load a checkpoint's optimizer state into an optimizer over the same parameters; return the rest of the state.

    The optimizer keeps its own learning rate, weight decay and other hyperparameters. `with_weights`: also load the
    weights that were saved with it into the parameters.

    Raises:
        UserError: the file cannot be read, or its entries do not match the parameters.
    """
    state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    try:
        stored = {**load_file(folder / OPTIMIZER), **state.pop("optimizer")}
    except (OSError, SafetensorError) as error:
        raise UserError(f"'{folder / OPTIMIZER}' cannot be read: {one_line(error)}") from error
    memory: dict[int, dict[str, Any]] = {}
    for index, parameter in enumerate(updated_weights(optimizer)):
        shapes = state_shapes(optimizer, parameter)
        if with_weights and f"{index}.{_WEIGHT}" not in stored:
            what = "a weight of the last step (trainer.average)"
            raise UserError(f"'{folder / OPTIMIZER}' lacks {index}.{_WEIGHT}, {what}")
        weight = stored.pop(f"{index}.{_WEIGHT}", parameter)
        entries = {name: stored.pop(f"{index}.{name}") for name in shapes if f"{index}.{name}" in stored}
        found = {name: torch.as_tensor(value).shape for name, value in entries.items()}
        if weight.shape != parameter.shape or (entries and found != shapes):
            raise UserError(
                f"'{folder / OPTIMIZER}' does not match the model: entries {index}.* for a weight of shape "
                f"{tuple(parameter.shape)}"
            )
        if weight is not parameter:
            parameter.data.copy_(weight)
        if entries:
            memory[index] = entries
    if stored:
        raise UserError(f"'{folder / OPTIMIZER}' does not match the model: unknown entry {printable(min(stored))}")
    optimizer.load_state_dict({"state": memory, "param_groups": optimizer.state_dict()["param_groups"]})
    return state


def flaw(checkpoint: Path) -> str | None:
    """Return why a checkpoint is unusable, a damaged file or a non-finite number; None if it is intact."""
    if problem := damage(checkpoint):
        return problem
    for name in (weights_file(checkpoint), OPTIMIZER):
        with suppress(SafetensorError, OSError), safe_open(checkpoint / name, "pt") as file:  # loading reports these
            if problem := find_non_finite((tensor, file.get_tensor(tensor)) for tensor in file.keys()):  # noqa: SIM118
                return f"in {name}, {problem}"
    return None


def load_weights(model: PreTrainedModel, folder: Path) -> None:
    """Load a checkpoint's weights into a model of the same architecture.

    Raises:
        UserError: the file cannot be read, or belongs to another model.
    """
    file = folder / weights_file(folder)
    if is_adapter(folder):
        load_lora(model, file)
        return
    # from_pretrained knows the names that save_pretrained changes, and the weights that it does not write.
    model_class: Any = type(model)
    try:
        saved, report = model_class.from_pretrained(
            folder, dtype=model.dtype, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"'{file}' does not match the model: {one_line(error)[:200]}") from error
    if unfit := sorted(map(str, chain.from_iterable(report.values()))):
        raise UserError(f"'{file}' does not match the model: {printable(unfit[0])}")
    model.load_state_dict(saved.state_dict())
