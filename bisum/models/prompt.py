"""The summarization prompt in a checkpoint's configuration, as in T5 v1.0 and in bisum's checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bisum.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def stated_prompt(config: PretrainedConfig) -> tuple[str, str]:
    """Return the prefix and suffix that a checkpoint states; raises UserError if they are not text."""
    stated = _summarization(config)
    return stated.get("prefix") or "", stated.get("suffix") or ""


def _summarization(config: PretrainedConfig) -> dict[str, Any]:
    tasks = getattr(config, "task_specific_params", None) or {}
    stated = (tasks.get("summarization") or {}) if isinstance(tasks, dict) else tasks
    is_sound = isinstance(stated, dict) and all(
        isinstance(stated.get(name) or "", str) for name in ("prefix", "suffix")
    )
    if not is_sound:
        raise UserError(
            "model.checkpoint: task_specific_params in its config.json is invalid; must look "
            'like {"summarization": {"prefix": "summarize: "}}'
        )
    return dict(stated)


def state_prompt(config: PretrainedConfig, prefix: str, suffix: str) -> None:
    """Write a prompt into the model's configuration, so that a saved directory is self-contained."""
    if (prefix, suffix) != stated_prompt(config):
        stated = {**_summarization(config), "prefix": prefix, "suffix": suffix}
        tasks = getattr(config, "task_specific_params", None) or {}
        config.task_specific_params = {**tasks, "summarization": stated}
