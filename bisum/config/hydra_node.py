"""Check the `hydra` node of a configuration by the rules of bisum's own nodes."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.config.checking import no_such_key, unknown_keys
from bisum.config.messages import NO_ENVIRONMENT, one_line_of, unresolved_key
from bisum.config.targets import allowed_targets, is_allowed, locate, refusal
from bisum.errors import UserError, shown

_HYDRAS_OWN = ("bisum", "hydra", "hydra_plugins")
_NAMES_CODE = {"custom_search_space", "setup", "python", "srun_args", "additional_parameters"}
"""Settings of the Optuna sweeper and the submitit launcher that are Python functions or shell commands."""


def check_hydra_node(hydra: DictConfig) -> None:
    """Check what Hydra's schema does not, and the classes that Hydra would call, before any job runs.

    Raises:
        UserError: a line that names the key and says what would be right.
    """
    _refuse_unknown(hydra, "hydra")
    for name in ("job_logging", "hydra_logging"):
        node = None if OmegaConf.is_missing(hydra, name) else _raw(hydra).get(name)
        if isinstance(node, dict) and any(isinstance(value, dict | list | str) for value in node.values()):
            raise UserError(f"hydra.{name}: bisum writes its own log, train.log; leave this as it is")
    for name in ("mode", "verbose", "job_logging", "hydra_logging"):
        if not OmegaConf.is_missing(hydra, name):
            plain_node(hydra, name)
    for name in ("launcher", "sweeper"):
        plugin = plain_node(hydra, name)
        _check_target(plugin, f"hydra.{name}", f"; choose one by name: hydra/{name}=basic")
        if not is_allowed(str(plugin["_target_"]), ["hydra", "hydra_plugins"]):
            raise UserError(f"hydra.{name}._target_: Hydra takes only a class of the package hydra_plugins")
        _refuse_named_code(plugin, f"hydra.{name}")
    for name, callback in (plain_node(hydra, "callbacks") or {}).items():
        _check_target(callback, f"hydra.callbacks.{name}", "")
        if not issubclass(locate(str(callback["_target_"])), Callback):
            raise UserError(f"hydra.callbacks.{name}._target_: must be a hydra.experimental.callback.Callback")
    for name in ("env_set", "env_copy"):
        if not OmegaConf.is_missing(hydra.job, name) and plain_node(hydra, "job", name):
            raise UserError(f"hydra.job.{name}: {NO_ENVIRONMENT}")
    _check_inside(hydra, "hydra.output_subdir", "the run directory")
    _check_inside(hydra, "hydra.sweep.subdir", "the sweep's directory")
    verbose = plain_node(hydra, "verbose")
    if not (
        isinstance(verbose, bool | str) or (isinstance(verbose, list) and all(isinstance(v, str) for v in verbose))
    ):
        raise UserError(f"hydra.verbose: expected true, false or names of loggers, not {shown(verbose)}")
    for entry in plain_node(hydra, "searchpath"):
        scheme, _, path = str(entry).rpartition("://")
        if scheme in ("", "file") and not Path(path).is_dir():
            raise UserError(f"hydra.searchpath: there is no folder '{path}'")
        if scheme == "pkg" and (refused := refusal(path.replace("/", "."), [*_HYDRAS_OWN, *allowed_targets()])):
            raise UserError(f"hydra.searchpath: reading {entry} imports that package: {refused}")


def _raw(node: DictConfig) -> dict[str, Any]:
    """Return a node as plain data, with interpolations unresolved."""
    values = OmegaConf.to_container(node)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}


def _check_inside(hydra: DictConfig, key: str, where: str) -> None:
    """Refuse a folder that leads out of the one that it is in; what is interpolated is checked when it is known."""
    parent, _, name = key.removeprefix("hydra.").rpartition(".")
    node = hydra[parent] if parent else hydra
    if not OmegaConf.is_missing(node, name):
        refuse_outside(str(_raw(node).get(name)), key, where)


def refuse_outside(folder: str, key: str, where: str) -> None:
    """Raise `UserError` for a folder that is not below the one that it belongs in."""
    if Path(folder).is_absolute() or ".." in Path(folder).parts:
        raise UserError(f"{key}: '{folder}' must be a folder inside {where}")


def _refuse_named_code(plugin: dict[str, Any], key: str) -> None:
    """Refuse settings that name code or commands, unless the plugins themselves are allowed."""
    for name in _NAMES_CODE & plugin.keys():
        if plugin[name] and (refused := refusal("hydra_plugins", allowed_targets())):
            raise UserError(f"{key}.{name}: runs what it names: {refused}")


def _refuse_unknown(node: DictConfig, key: str) -> None:
    """Refuse a key that the dataclass of a node lacks; Hydra itself accepts it with a plus sign."""
    schema = OmegaConf.get_type(node)
    known = [field.name for field in fields(schema)] if schema is not None and is_dataclass(schema) else None
    if known is not None and key == "hydra":
        known.append("env")  # hydra/env=default adds it
    for name in map(str, node):
        if known is not None and name not in known:
            raise UserError(f"{key}.{name}: {no_such_key(name, known)}")
        if OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name):
            continue
        child = node.get(name)
        is_called = key == "hydra" and name in ("launcher", "sweeper", "callbacks")  # the class checks its keys
        if isinstance(child, DictConfig) and not is_called:
            _refuse_unknown(child, f"{key}.{name}")


def plain_node(hydra: DictConfig, *names: str) -> Any:
    """Return a node below `hydra` as plain data; raises `UserError` if it cannot be resolved."""
    node: Any = hydra
    key = "hydra"
    try:
        for name in names:
            key, parent, node = f"{key}.{name}", node, None
            node = parent.get(name)
        return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    except OmegaConfBaseException as error:
        raise UserError(f"{unresolved_key(node, key) or key}: {one_line_of(error)}") from error


def _check_target(node: Any, key: str, hint: str) -> None:
    """Check a node that Hydra would call: its class may be called and takes its keys.

    The class itself checks the values: its annotations may not cover everything that it accepts.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        given = "one without" if isinstance(node, dict) else shown(node)
        raise UserError(f"{key}: expected a mapping with a _target_, not {given}{hint}")
    _refuse_foreign_targets(node, key)
    settings = [str(name) for name in node if not (str(name).startswith("_") and str(name).endswith("_"))]
    if lines := unknown_keys(locate(str(node["_target_"])), settings, key):
        raise UserError("\n".join(lines))


def _refuse_foreign_targets(node: Any, key: str) -> None:
    if isinstance(node, list):
        for item in node:
            _refuse_foreign_targets(item, key)
    if isinstance(node, dict):
        target = node.get("_target_")
        if target is not None:
            if refused := refusal(str(target), ["hydra", "hydra_plugins", *allowed_targets()]):
                raise UserError(f"{key}._target_: {refused}")
            locate(str(target))
        for name, value in node.items():
            _refuse_foreign_targets(value, f"{key}.{name}")
