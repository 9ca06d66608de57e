"""The summarization prompt in a checkpoint's configuration, as in T5 v1.0 and in bisum's checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bisum.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def read_prompt(config: PretrainedConfig) -> tuple[str, str]:
    """Return the prefix and suffix in a checkpoint's configuration; raise UserError if they are not text."""
    task = _summarization(config)
    return task.get("prefix") or "", task.get("suffix") or ""


def _summarization(config: PretrainedConfig) -> dict[str, Any]:
    tasks = getattr(config, "task_specific_params", None) or {}
    task = (tasks.get("summarization") or {}) if isinstance(tasks, dict) else tasks
    is_valid = isinstance(task, dict) and all(isinstance(task.get(name) or "", str) for name in ("prefix", "suffix"))
    if not is_valid:
        raise UserError(
            "model.checkpoint: task_specific_params in its config.json is invalid; must look "
            'like {"summarization": {"prefix": "summarize: "}}'
        )
    return dict(task)


def write_prompt(config: PretrainedConfig, prefix: str, suffix: str) -> None:
    """Write a prompt to the model's configuration, to make a saved directory self-contained."""
    if (prefix, suffix) != read_prompt(config):
        task = {**_summarization(config), "prefix": prefix, "suffix": suffix}
        tasks = getattr(config, "task_specific_params", None) or {}
        config.task_specific_params = {**tasks, "summarization": task}
