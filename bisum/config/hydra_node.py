"""Check a configuration's `hydra` node as strictly as bisum's own nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from bisum.config.checking import build, no_such_key, unknown_keys, value_problems
from bisum.config.hydra_keys import SETTABLE
from bisum.config.hydra_safety import check_runs_nothing, plain_node
from bisum.config.options import SlurmOptions
from bisum.config.targets import allowed_targets, is_allowed, locate, refusal
from bisum.errors import UserError, shown

_OF_A_JOB = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
"""Keys whose values can depend on a job's arguments."""
LOCAL = "bisum.sweeps.local.Local"
"""The target of `hydra/launcher=local`."""
SLURM = "bisum.sweeps.slurm_node.Slurm"
"""The target of `hydra/launcher=slurm`."""


def check_hydra_node(hydra: DictConfig, *, of_job: bool) -> None:
    """Check the classes that Hydra would call, and everything else that its schema does not, before any job runs.

    `of_job`: the node belongs to one job and is not shared by the jobs of a sweep.

    Raises:
        UserError: a line that begins with the key.
    """
    _refuse_unknown(hydra, "hydra")
    with _numbered(hydra.job):
        for key, annotation in SETTABLE.items():
            if of_job or key not in _OF_A_JOB:
                value = plain_node(hydra, *key.split(".")[1:])
                if lines := value_problems(annotation, getattr(value, "name", value), key):
                    raise UserError("\n".join(lines))
    for name in ("launcher", "sweeper"):
        plugin = plain_node(hydra, name)
        if name == "launcher" and isinstance(plugin, dict) and plugin.get("_target_") == LOCAL:
            if unknown := next((key for key in plugin if key != "_target_"), None):
                raise UserError(f"hydra.launcher.{unknown}: no such key; use the keys under sweep")
            continue
        if name == "launcher" and isinstance(plugin, dict) and plugin.get("_target_") == SLURM:
            slurm_options(hydra)
            continue
        _check_target(plugin, f"hydra.{name}", f"; choose one by name: hydra/{name}=basic")
        if not is_allowed(str(plugin["_target_"]), ["hydra", "hydra_plugins"]):
            raise UserError(f"hydra.{name}._target_: must be a class in the package hydra_plugins")
    if is_hydras_own(hydra, "sweeper"):
        _check_basic_sweeper(plain_node(hydra, "sweeper"))
    for name, callback in (plain_node(hydra, "callbacks") or {}).items():
        _check_target(callback, f"hydra.callbacks.{name}", "")
    for entry in plain_node(hydra, "searchpath"):
        scheme, _, path = str(entry).rpartition("://")
        if scheme in ("", "file") and not Path(path).is_dir():
            raise UserError(f"hydra.searchpath: no such folder: '{path}'")
    check_runs_nothing(hydra)


def is_hydras_own(hydra: DictConfig, node: str) -> bool:
    """Return whether the sweeper or launcher is Hydra's own, which bisum replaces."""
    package, _, name = str(hydra[node]["_target_"]).rpartition(".")
    return package.startswith("hydra.") and name in ("BasicSweeper", "BasicLauncher")


def is_launched_by_bisum(hydra: DictConfig) -> bool:
    """Return whether the launcher is bisum's own, or Hydra's own, which bisum replaces."""
    return is_hydras_own(hydra, "launcher") or runs_in_processes(hydra) or runs_on_slurm(hydra)


def runs_in_processes(hydra: DictConfig) -> bool:
    """Return whether the launcher runs each job in its own process."""
    return str(hydra.launcher["_target_"]) == LOCAL


def runs_on_slurm(hydra: DictConfig) -> bool:
    """Return whether the launcher submits jobs to Slurm."""
    return str(hydra.launcher["_target_"]) == SLURM


def slurm_options(hydra: DictConfig) -> SlurmOptions:
    """Return the checked settings of `hydra/launcher=slurm`; raises `UserError` for an invalid one."""
    values = {name: value for name, value in plain_node(hydra, "launcher").items() if name != "_target_"}
    if lines := value_problems(SlurmOptions, values, "hydra.launcher"):
        raise UserError("\n".join(lines))
    return build(SlurmOptions, values)


@contextmanager
def _numbered(job: DictConfig) -> Iterator[None]:
    """Set a job's number and id for the block, as in a run; directory names can contain them."""
    missing = {name: value for name, value in (("num", 0), ("id", "0")) if OmegaConf.is_missing(job, name)}
    job.update(missing)
    try:
        yield
    finally:
        job.update(dict.fromkeys(missing, MISSING))


def _check_basic_sweeper(sweeper: dict[str, Any]) -> None:
    size, params = sweeper.get("max_batch_size"), sweeper.get("params")
    if not (size is None or (type(size) is int and size >= 1)):
        raise UserError(f"hydra.sweeper.max_batch_size: expected a whole number >= 1 or null, not {shown(size)}")
    if not (params is None or isinstance(params, dict)):
        raise UserError(
            f"hydra.sweeper.params: expected a mapping of keys to values, such as seed: 1,2, not {shown(params)}"
        )
    for key, value in (params or {}).items():
        if not isinstance(key, str) or not key.strip():
            raise UserError(f"hydra.sweeper.params: expected text as a key, not {shown(key)}")
        if isinstance(value, dict | list) or value == "":
            hint = f"write its values as text, {key}: a,b" if not isinstance(value, dict) else "write a dotted key"
            raise UserError(f"hydra.sweeper.params: {key}: invalid value {shown(value)}; {hint}")


def _refuse_unknown(node: DictConfig, key: str) -> None:
    """Refuse a key missing from a node's dataclass, which Hydra accepts with a plus sign."""
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


def _check_target(node: Any, key: str, hint: str) -> None:
    """Check that a node's class is allowed and accepts the node's keys.

    The class checks the values itself: its annotations may be incomplete.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        given = "one without it" if isinstance(node, dict) else shown(node)
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
