"""Turn errors of Hydra, OmegaConf and the YAML parser into one-line messages with a correction."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from hydra.conf import HydraConf
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bisum.config.checking import listing, no_such_key
from bisum.config.hydra_keys import NO_ENVIRONMENT
from bisum.config.options import SlurmOptions
from bisum.errors import nearest, printable, without_secrets

_MISSING_GROUP = re.compile(
    r"Could not (?:override|load) '([^']+)'\. ?No match in the defaults list"  # Hydra 1.3
    r"|No earlier Group Default for '([^']+)' exists"  # Hydra 1.4
)


def explain(error: BaseException, groups: list[str], options: Callable[[str], list[str]]) -> str:
    """Return one line for an error of Hydra, OmegaConf or the YAML parser.

    Args:
        error: the error.
        groups: names of the groups.
        options: returns the options of a group, including Hydra's own groups.
    """
    if isinstance(error, OverrideParseException):
        return unreadable_override(error)
    if isinstance(error, YAMLError):
        mark = getattr(error, "problem_mark", None)
        place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "a YAML file"
        return f"{place}: not valid YAML: {getattr(error, 'problem', None) or one_line_of(error)}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.lstrip("/").rpartition("/")
        if known := options(group):
            return f"{group}={option}: no such option{nearest(option, known)} (valid: {listing(known)})"
        return f"{group}={option}: {no_such_group(group, groups)}" if group else f"no configuration '{option}'"
    if isinstance(error, KeyError) and str(error.args[0]) not in os.environ:
        return f"hydra.job.env_copy: {NO_ENVIRONMENT}"
    if isinstance(error.__cause__, YAMLError):
        return explain(error.__cause__, groups, options)
    message = " ".join(filter(None, [one_line_of(error), one_line_of(error.__cause__)]))
    if match := re.search(r"Could not override '([^']+)'\. Key '([^']+)' ", message):
        return _no_such_key(match[1], match[2])
    if match := re.search(r"Error merging override \+*(.*?)=.*? ((Value|Invalid|Cannot|Incompatible)\b.*)", message):
        return f"{match[1]}: {match[2]}"
    if match := _MISSING_GROUP.search(message):
        group = match[1] or match[2]
        return f"{group}: {no_such_group(group, groups)}"
    return message


def _no_such_key(key: str, missing: str) -> str:
    """Return a message about a key of the `hydra` node whose part `missing` does not exist."""
    parts = key.split(".")
    if missing not in parts:
        return f"{key}: no key '{missing}'; add it with a plus sign: +{key}.{missing}=..."
    known = parts[: parts.index(missing)]
    if known == ["hydra", "launcher"]:
        names = [field.name for field in fields(SlurmOptions)]
        return (
            f"{key}: no such key of this launcher{nearest(missing, names)} "
            f"(hydra/launcher=slurm has {', '.join(names)})"
        )
    node = OmegaConf.select(OmegaConf.create({"hydra": HydraConf}), ".".join(known)) if known else None
    names = [str(name) for name in node] if isinstance(node, DictConfig) else []
    return f"{'.'.join([*known, missing])}: {no_such_key(missing, names)}" if names else f"{key}: no such key"


def no_such_group(group: str, groups: list[str]) -> str:
    """Return a message about an unknown group, with the nearest name and all valid ones."""
    return f"no such group{nearest(group, groups)} (valid: {listing(groups)})"


def unreadable_override(error: BaseException) -> str:
    """Return one line for an argument that Hydra's grammar cannot read."""
    if not isinstance(error, OverrideParseException):
        return one_line_of(error)
    argument = printable(without_secrets(str(error.override)))
    return (
        f"'{argument}': cannot be read; write key=value, and quote values with spaces, commas, brackets, braces, "
        "'~', '=' or letters such as 'ñ', as in 'key=\"a, b\"'"
    )


def unresolved_key(node: Any, key: str = "") -> str:
    """Return the dotted key of the first interpolation that cannot be resolved."""
    is_list = isinstance(node, ListConfig)
    names: list[Any] = [*range(len(node))] if is_list else [*node] if isinstance(node, DictConfig) else []
    for name in names:
        path = f"{key}[{name}]" if is_list else f"{key}.{name}" if key else str(name)
        if path == "hydra":  # checked separately
            continue
        try:
            child = None if OmegaConf.is_missing(node, name) else node[name]
        except OmegaConfBaseException:
            return path
        if found := unresolved_key(child, path):
            return found
    return ""


def one_line_of(error: BaseException | None) -> str:
    """Join the lines of a message without those about Hydra's internals."""
    if missing := re.search(r"Environment variable '(.*?)' not found", str(error or "")):
        return f"needs the environment variable {missing[1]}, which is not set"
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    lines = [re.sub(r"^\w+ raised while resolving interpolation: ", "", line) for line in lines]
    drop = ("full_key:", "object_type=", "reference_type", "See https", "Set the environment variable", "To append")
    return " ".join(line for line in lines if not line.startswith(drop))
