"""The files of an adapter: LoRA layers in peft's format, and bisum's record of their base."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import PreTrainedModel

from bisum.config.model_source import SCHEME, located
from bisum.errors import UserError, one_line, printable, shown
from bisum.models.adapter_base import Base, read_base
from bisum.models.adapters import MAX_RANK, missing_peft
from bisum.models.lora import (
    ALL_LINEAR,
    IMAGES,
    LoraSettings,
    add_lora,
    check_targets,
    load_lora,
    lora_config,
    lora_weights,
)
from bisum.runs.checkpoints import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from bisum.runs.entries import FLAG, TEXT, Entries, Kind, is_number, or_null, read_object


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) and name for name in value)


_ENTRIES: Entries = {
    "peft_type": Kind("LORA", lambda value: value == "LORA"),
    "base_model_name_or_path?": or_null(TEXT),
    "revision?": or_null(TEXT),
    "r": Kind(f"a whole number from 1 to {MAX_RANK}", lambda value: type(value) is int and 1 <= value <= MAX_RANK),
    "lora_alpha": Kind("a number above 0, at most 100,000", lambda value: is_number(value) and 0 < value <= 100_000),
    "lora_dropout?": Kind("a number from 0 to below 1", lambda value: is_number(value) and 0 <= value < 1),
    # peft reads any other text as a regular expression, which can take forever to match.
    "target_modules": Kind("a list of names or all-linear", lambda value: _is_names(value) or value == ALL_LINEAR),
    "use_dora?": FLAG,
    "use_rslora?": FLAG,
    "bias?": Kind("none", lambda value: value == "none"),
    "init_lora_weights?": Kind("true, false or gaussian", lambda value: value in (True, False, "gaussian")),
}
_IGNORED = (
    *("task_type", "auto_mapping", "peft_version", "inference_mode", "fan_in_fan_out", "megatron_core"),
    *("qalora_group_size", "runtime_config"),
)
"""Further entries of peft's file that do not affect the output."""


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter in a folder, not yet part of a model."""

    folder: Path
    settings: LoraSettings
    base: Base

    def attach(self, model: PreTrainedModel) -> None:
        """Add the LoRA layers to a model with the base's weights, and load theirs; on the meta device, check them.

        Raises:
            UserError: the weights cannot be read, or do not match the model.
        """
        try:
            check_targets(model, self.settings.targets)
            add_lora(model, self.settings)
        except (UserError, ValueError) as error:
            raise UserError(f"model.checkpoint: '{self.folder / ADAPTER_CONFIG}': {one_line(error)[:300]}") from error
        try:
            load_lora(model, self.folder / ADAPTER_WEIGHTS)
        except UserError as error:
            raise UserError(f"model.checkpoint: {error}") from error


def read_adapter(folder: Path) -> AdapterFiles:
    """Return the adapter in a folder, without its weights.

    Raises:
        UserError: peft is not installed; the adapter is of an unsupported kind; its base is unknown.
    """
    if missing := missing_peft():
        raise UserError(f"model.checkpoint: '{folder}' is an adapter, which {missing}")
    try:
        values = read_object(folder / ADAPTER_CONFIG, _ENTRIES)
        _refuse_further_settings(folder / ADAPTER_CONFIG, values)
        base = read_base(folder) or _named_base(folder / ADAPTER_CONFIG, values)
    except UserError as error:
        raise UserError(f"model.checkpoint: {error}") from error
    if not (folder / ADAPTER_WEIGHTS).is_file():
        pickled = "; adapter_model.bin, a pickle, is not read" if (folder / "adapter_model.bin").exists() else ""
        raise UserError(f"model.checkpoint: '{folder}' contains no {ADAPTER_WEIGHTS}{pickled}")
    settings = LoraSettings(
        rank=values["r"],
        alpha=values["lora_alpha"],
        dropout=values.get("lora_dropout", 0.0),
        targets=values["target_modules"],
        dora=bool(values.get("use_dora")),
        rslora=bool(values.get("use_rslora")),
    )
    return AdapterFiles(folder, settings, base)


def _refuse_further_settings(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse entries that change the output and that bisum does not support, such as modules_to_save."""
    known = {entry.rstrip("?") for entry in _ENTRIES}
    if values.get("exclude_modules") == IMAGES:
        known.add("exclude_modules")
    for name, value in values.items():
        if name not in known and name not in _IGNORED and value not in (None, False, [], {}):
            raise UserError(f"'{path}': {printable(name)} is {printable(shown(value))}, which bisum does not support")


def _named_base(path: Path, values: Mapping[str, Any]) -> Base:
    """Return the base that peft's file names; its weights cannot be verified."""
    name = values.get("base_model_name_or_path")
    if not name or "\0" in name or re.match(r"\w+://", name):
        raise UserError(
            f"'{path}': base_model_name_or_path is {printable(shown(name))}; must be a directory or a hub name"
        )
    return Base(checkpoint=name, revision=values.get("revision"), quantize=None, weights={})


def write_adapter(model: PreTrainedModel, folder: Path, base: Base) -> None:
    """Write a model's LoRA layers and the record of their base, readable by peft and transformers, too."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in lora_weights(model).items()}
    save_file(weights, folder / ADAPTER_WEIGHTS, {"format": "pt"})
    config = lora_config(model)
    config.base_model_name_or_path = located(base.checkpoint) if base.checkpoint.startswith(SCHEME) else base.checkpoint
    config.revision = base.revision
    config.save_pretrained(folder)
    values = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    if isinstance(values["target_modules"], list):
        values["target_modules"].sort()  # a set in peft, whose order differs between processes
    (folder / ADAPTER_CONFIG).write_text(json.dumps(values, indent=2, sort_keys=True), encoding="utf-8")
    base.write(folder)
