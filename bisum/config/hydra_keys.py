"""The keys of Hydra's own node that can be set, and their types, which are stricter than Hydra's schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from hydra.core.override_parser.types import Override

from bisum.config.annotations import MISSING
from bisum.config.checking import no_such_key, value_problems
from bisum.errors import UserError, shown
from bisum.interfaces.text import Name

SETTABLE: Mapping[str, Any] = {
    "hydra.mode": Literal["RUN", "MULTIRUN"] | None,
    "hydra.searchpath": list[Name],
    "hydra.run.dir": Name,
    "hydra.sweep.dir": Name,
    "hydra.sweep.subdir": Name,
    "hydra.output_subdir": Name | None,
    "hydra.verbose": bool | Name | list[Name],
    "hydra.job.name": Name,
    "hydra.job.chdir": bool | None,
    "hydra.job.config.override_dirname.kv_sep": str,
    "hydra.job.config.override_dirname.item_sep": str,
    "hydra.job.config.override_dirname.exclude_keys": list[Name],
}
"""The annotation of each key that can be set."""

_OPEN = ("hydra.launcher", "hydra.sweeper", "hydra.callbacks")
"""Keys that can be set and are checked after composition, in `bisum.config.hydra_node`."""

LOG = "bisum writes its own log, train.log; do not set this"
NO_ENVIRONMENT = "not supported, because environment variables can start programs; set them in the shell"
_HELP = "has no effect; for help, run bisum --help"
_BY_HYDRA = "set by Hydra itself; omit it"

_FORBIDDEN = {
    "hydra.defaults": "has no effect; choose a group's option by name, such as hydra/launcher=basic",
    "hydra.job_logging": LOG,
    "hydra.hydra_logging": LOG,
    "hydra.job.env_set": NO_ENVIRONMENT,
    "hydra.job.env_copy": NO_ENVIRONMENT,
    "hydra.help": _HELP,
    "hydra.hydra_help": _HELP,
    "hydra.runtime": _BY_HYDRA,
    "hydra.overrides": _BY_HYDRA,
    "hydra.job.id": _BY_HYDRA,
    "hydra.job.num": _BY_HYDRA,
    "hydra.job.config_name": _BY_HYDRA,
    "hydra.job.override_dirname": _BY_HYDRA,
}
"""Why a key cannot be set."""


def check_given(node: Any) -> list[str]:
    """Return a line for each problem in a `hydra` node, or part of one, before composition."""
    return list(_problems("hydra", node))


def refuse_wrong_arguments(overrides: Iterable[Override]) -> None:
    """Refuse invalid arguments for Hydra's own node that its schema would accept or misread.

    Raises:
        UserError: a line for each problem of the first invalid argument.
    """
    for override in overrides:
        key, value = override.key_or_group, override.value()
        is_option = key == "hydra" and not isinstance(value, dict)
        if key.partition(".")[0] != "hydra" or is_option or override.is_sweep_override():
            continue
        if override.is_delete():
            if not key.startswith(tuple(f"{name}." for name in _OPEN)):  # such as a launcher's setting
                raise UserError(f"{key}: Hydra requires this key; change its value instead")
            continue
        for name in reversed(key.split(".")[1:]):
            value = {name: value}
        if lines := check_given(value):
            raise UserError("\n".join(lines))


def _problems(key: str, value: Any) -> Iterator[str]:
    if key in _FORBIDDEN:
        yield f"{key}: {_FORBIDDEN[key]}"
    elif isinstance(value, str) and value == MISSING:
        yield f"{key}: needs a value"
    elif key in SETTABLE:
        if not (isinstance(value, str) and "${" in value):  # checked after composition
            yield from value_problems(SETTABLE[key], value, key)
    elif key not in _OPEN:
        below = _below(key)
        if not isinstance(value, Mapping):
            yield f"{key}: expected a mapping of {', '.join(below)}, not {shown(value)}"
            return
        for name, item in value.items():
            if str(name) in _below(key, every=True):
                yield from _problems(f"{key}.{name}", item)
            else:
                yield f"{key}.{name}: {no_such_key(str(name), below)}"


def _below(key: str, *, every: bool = False) -> list[str]:
    """Return the names below a node that can be set, or every name that Hydra knows there."""
    known = [*SETTABLE, *_OPEN, *(_FORBIDDEN if every else ())]
    return list(dict.fromkeys(name[len(key) + 1 :].partition(".")[0] for name in known if name.startswith(f"{key}.")))
