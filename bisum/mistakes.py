"""What Hydra, OmegaConf and the YAML parser say of a mistake, in one line that says what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bisum.checking import nearest


def explain(error: BaseException, loader: ConfigLoader, groups: Mapping[str, list[str]]) -> str:
    """Return one line for an error of Hydra, OmegaConf or the YAML parser."""
    if isinstance(error, OverrideParseException):
        return (
            f"'{error.override}' cannot be read: write key=value, and quote a value with blanks, commas, brackets, "
            "braces, '~' or '=' (for example 'key=\"a, b\"')"
        )
    if isinstance(error, UnicodeDecodeError):
        return f"{_undecodable_file(loader)}: not UTF-8; convert it"
    if isinstance(error, YAMLError):
        mark = getattr(error, "problem_mark", None)
        place = f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}" if mark else "a YAML file"
        return f"{place}: not valid YAML: {getattr(error, 'problem', None) or one_line(error)}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.lstrip("/").rpartition("/")
        options = groups.get(group, [])
        if options:
            return f"{group}={option}: no such option{nearest(option, options)} (valid: {', '.join(options)})"
    if isinstance(error.__cause__, YAMLError):
        return explain(error.__cause__, loader, groups)
    message = " ".join(filter(None, [one_line(error), one_line(error.__cause__)]))
    if match := re.search(r"Error merging override \+*(.*?)=\s*(.).*Cannot merge DictConfig with ListConfig", message):
        kinds = ("a mapping", "a list")  # OmegaConf says the same of a list for a mapping as of a mapping for a list
        wanted, given = kinds if match[2] == "[" else reversed(kinds)
        return f"{match[1]}: expected {wanted}, not {given}"
    if match := re.search(r"Ambiguous value for argument '\+*(.*?)=", message):
        a_list = "" if match[1] == "run" else f"write {match[1]}=[a,b] for a list, or "
        return f"{match[1]}: several values; {a_list}add -m for a job each"
    if match := re.search(r"Could not (?:override|load) '([^']+)'\. ?No match in the defaults list", message):
        return f"{match[1]}: no such group{nearest(match[1], groups)} (valid: {', '.join(groups)})"
    return message.replace("'++", "'")


def _undecodable_file(loader: ConfigLoader) -> str:
    for source in loader.get_sources():
        for path in sorted(Path(source.path).rglob("*.yaml")) if source.scheme() == "file" else []:
            try:
                path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                return str(path)
    return "a YAML file"


def unresolved_key(node: Any, key: str = "") -> str:
    """Return the dotted key of the first interpolation that cannot be resolved."""
    for name in node if isinstance(node, DictConfig) else []:
        path = f"{key}.{name}" if key else str(name)
        try:
            child = None if OmegaConf.is_missing(node, name) else node[name]
        except OmegaConfBaseException:
            return path
        if found := unresolved_key(child, path):
            return found
    return ""


def one_line(error: BaseException | None) -> str:
    """Return the first lines of a message that say what is wrong, joined."""
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    lines = [re.sub(r"^\w+ raised while resolving interpolation: ", "", line) for line in lines]
    drop = ("full_key:", "object_type=", "reference_type", "See https", "Set the environment variable", "To append")
    return " ".join(line for line in lines if not line.startswith(drop))
