"""The `hydra` node of a configuration: what Hydra itself would call is held to the rule for bisum's own nodes."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.checking import ALLOW_VARIABLE, allowed_targets, is_allowed, locate
from bisum.errors import UserError
from bisum.mistakes import one_line, unresolved_key


def refuse_foreign_code(hydra: DictConfig) -> None:
    """Hold what Hydra itself would call (launcher, sweeper, callbacks, logging) to the same rule as bisum's nodes."""
    for name in ("launcher", "sweeper", "callbacks"):
        node = hydra.get(name)
        try:
            plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
        except OmegaConfBaseException as error:
            raise UserError(f"{unresolved_key(node, f'hydra.{name}')}: {one_line(error)}") from error
        _refuse_foreign_targets(plain, name)
    if ALLOW_VARIABLE in (OmegaConf.select(hydra, "job.env_set") or {}):
        raise UserError(f"hydra.job.env_set: {ALLOW_VARIABLE} is for the command line and the environment alone")
    for name in ("job_logging", "hydra_logging"):
        if OmegaConf.select(hydra, f"{name}.root") is not None or OmegaConf.select(hydra, f"{name}.handlers"):
            raise UserError(f"hydra.{name}: bisum writes its own log, train.log; leave this as it is")


def _refuse_foreign_targets(node: Any, key: str) -> None:
    if isinstance(node, list):
        for item in node:
            _refuse_foreign_targets(item, key)
    if isinstance(node, dict):
        target = node.get("_target_")
        if target is not None:
            if not is_allowed(str(target), ["hydra", "hydra_plugins", *allowed_targets()]):
                raise UserError(
                    f"hydra.{key}._target_: '{target}' is not allowed; if you trust it, set {ALLOW_VARIABLE}={target}"
                )
            locate(str(target))
        for name, value in node.items():
            _refuse_foreign_targets(value, f"{key}.{name}")
