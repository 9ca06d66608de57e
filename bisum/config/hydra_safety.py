"""Refuse YAML files that make Hydra run, import or write something unsafe."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.config.hydra_keys import LOG, NO_ENVIRONMENT
from bisum.config.messages import one_line_of, unresolved_key
from bisum.config.recording import RECORD_VARIABLE, is_secret, unresolved_environment
from bisum.config.targets import allowed_targets, locate, refusal
from bisum.errors import UserError

_FOLDERS = ("run.dir", "sweep.dir", "sweep.subdir", "job.name", "output_subdir")
"""Keys that determine the name of a run's directory, which is recorded."""
_HYDRAS_OWN = ("bisum", "hydra", "hydra_plugins")
_NAMES_CODE = {"custom_search_space", "setup", "python", "srun_args", "additional_parameters"}
"""Settings of the Optuna sweeper and the submitit launcher that are Python functions or shell commands."""


def check_runs_nothing(hydra: DictConfig) -> None:
    """Check a composed `hydra` node whose classes are from Hydra or its plugins, or allowed.

    Raises:
        UserError: a key sets variables, configures logging, runs code or leads out of the run directory.
    """
    for name in ("launcher", "sweeper"):
        plugin = plain_node(hydra, name)
        for key in sorted(_NAMES_CODE & plugin.keys()):
            if plugin[key] and (refused := refusal("hydra_plugins", allowed_targets())):
                raise UserError(f"hydra.{name}.{key}: would run code: {refused}")
    for name, callback in (plain_node(hydra, "callbacks") or {}).items():
        from hydra.experimental.callback import Callback  # few configurations need it

        if not issubclass(locate(str(callback["_target_"])), Callback):
            raise UserError(f"hydra.callbacks.{name}._target_: must inherit from hydra.experimental.callback.Callback")
    for name in ("env_set", "env_copy"):
        if not OmegaConf.is_missing(hydra.job, name) and plain_node(hydra, "job", name):
            raise UserError(f"hydra.job.{name}: {NO_ENVIRONMENT}")
    raw = OmegaConf.to_container(hydra)
    assert isinstance(raw, dict)
    for name in ("job_logging", "hydra_logging"):
        node = raw.get(name)
        if isinstance(node, dict) and any(isinstance(value, dict | list | str) for value in node.values()):
            raise UserError(f"hydra.{name}: {LOG}")
    for entry in plain_node(hydra, "searchpath"):
        scheme, _, path = str(entry).rpartition("://")
        if scheme == "pkg" and (refused := refusal(path.replace("/", "."), [*_HYDRAS_OWN, *allowed_targets()])):
            raise UserError(f"hydra.searchpath: {entry} would import that package: {refused}")
    if (folder := plain_node(hydra, "output_subdir")) is not None:
        inside(str(folder), "hydra.output_subdir", "the run directory")
    with unresolved_environment():
        for key in _FOLDERS:
            *parents, name = key.split(".")
            values: Any = raw
            for parent in parents:
                values = values[parent]
            shown = str(values[name])
            with suppress(UserError):  # not resolvable yet
                shown += str(plain_node(hydra, *parents, name))
            if names := [found for found in re.findall(r"oc\.env:(\w+)", shown) if is_secret(found)]:
                raise UserError(
                    f"hydra.{key}: would record the environment variable {names[0]}; if it is not secret, set "
                    f"{RECORD_VARIABLE}={names[0]}"
                )


def inside(folder: str, key: str, where: str) -> str:
    """Return the normalized relative path of a folder; raises `UserError` if it leads out of its parent, `where`."""
    path = os.path.normpath(folder)
    if Path(path).is_absolute() or path in (".", "..") or path.startswith("../"):
        raise UserError(f"{key}: '{folder}' is not inside {where}")
    return path


def plain_node(hydra: DictConfig, *names: str) -> Any:
    """Return a node below `hydra` as plain data; raises `UserError` if it is missing or cannot be resolved."""
    node: Any = hydra
    key = "hydra"
    try:
        for name in names:
            key, parent, node = f"{key}.{name}", node, None
            if OmegaConf.is_missing(parent, name):
                raise UserError(f"{key}: needs a value")
            node = parent.get(name)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except OmegaConfBaseException as error:
        raise UserError(f"{unresolved_key(node, key) or key}: {one_line_of(error)}") from error
