"""The recorded form of a configuration, without secrets.

A value from the environment, `${oc.env:NAME}`, is recorded as this expression and read from the environment again when
a command starts from the record. URLs are recorded without login and query, which can contain a signature.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from bisum.errors import UserError, one_line, printable, without_secrets

RECORD_VARIABLE = "BISUM_RECORD_ENV"
"""Environment variable that lists further variables without secrets, by name or by a pattern such as SLURM_*."""

_NO_SECRETS = ("HOME", "USER", "WANDB_PROJECT", "XDG_*")
"""Variables whose values are recorded."""

_LABELS = ("project", "entity", "name", "group", "tags")
"""Keys of `tracker` that are visible to others in every tracker."""

_EXPRESSION = re.compile(r"\$\{oc\.env:([^}]*)\}")
_RECORDED = re.compile(r"\$\{oc\.env:[A-Za-z_]\w*\}|\$\{oc\.decode:\$\{oc\.env:[A-Za-z_]\w*\}\}")
"""The only expressions allowed in a record, which can be untrusted."""

_NAMES_SECRET = re.compile("sig|token|key|secret|passw|credential|auth|access", re.IGNORECASE)

_MIN_SECRET = 6
"""Minimum length of values to mask in texts; shorter ones occur in unrelated words."""

_read: set[str] = set()
"""The variables read by configurations in this process."""

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Recorded:
    """The recorded form of a configuration."""

    config: Mapping[str, Any]
    """Plain data."""
    from_environment: Sequence[Sequence[str | int]]
    """Paths (keys and indices) of the expressions that read a value from the environment."""
    masked: Sequence[Sequence[str | int]]
    """Paths (keys and indices) of the URLs recorded without query or login."""
    masks: Mapping[str, str]
    """Secret values, with their replacements in messages."""

    def mask(self, text: str, directory: Path | None = None) -> str:
        """Return a message without secrets; paths in a run `directory` stay readable."""
        for secret, mask in self.masks.items():
            if directory is None or not f"{directory.absolute()}/".startswith(f"{secret.rstrip('/')}/"):
                text = text.replace(secret, mask)
        return without_secrets(text)


def record_of(values: Mapping[str, Any], resolve: Callable[[], Mapping[str, Any]]) -> Recorded:
    """Return the recorded form of a configuration.

    Args:
        values: the configuration as plain data, with all interpolations resolved.
        resolve: resolves the interpolations again.

    Raises:
        UserError: a value from the environment cannot be recorded, or would be visible in a tracker.
    """
    with unresolved_environment():
        try:
            unresolved = resolve()
        except (OmegaConfBaseException, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"a value from the environment cannot be recorded ({one_line(error)})") from error
    paths = list(_differences(values, unresolved))
    tracker = values.get("tracker")
    is_tracked = not isinstance(tracker, Mapping) or not str(tracker.get("_target_")).endswith(".NoTracker")
    for path in paths:
        if path[0] == "tracker" and path[1] in _LABELS and is_tracked:
            shown = ", ".join(dict.fromkeys(_EXPRESSION.findall(str(_at(unresolved, path)))))
            raise UserError(
                f"tracker.{path[1]}: would show others the environment variable {shown}; if it is not secret, set "
                f"{RECORD_VARIABLE}={shown}"
            )
    names = [name for path in paths for name in _EXPRESSION.findall(str(_at(unresolved, path)))]
    masks = {form: f"${{oc.env:{name}}}" for name in names for form in _forms(os.environ.get(name, ""))}
    masks.update(dict.fromkeys(_queries(values), "..."))
    longest_first = dict(sorted(masks.items(), key=lambda item: -len(item[0])))
    config = _without_secrets(unresolved)
    masked = [path for path, text in _texts(unresolved) if _at(config, path) != text]
    return Recorded(config, paths, masked, longest_first)


def restored(record: Mapping[str, Any], literal: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the configuration in a run's record for OmegaConf.

    `literal` escapes texts, except the record's expressions for environment variables.
    """
    if "hydra" in record["config"]:
        raise UserError("config.hydra: not a recorded key; remove it from run.json")
    values: dict[str, Any] = literal(record["config"])
    for path, text in _listed(record, "from_environment"):
        if isinstance(text, str) and "${" not in _RECORDED.sub("", text):
            _at(values, path[:-1])[path[-1]] = text
    return values


def refuse_missing(record: Mapping[str, Any], keys: Iterable[str], path: Path) -> None:
    """Raise UserError if the configuration in a record's file lacks one of the keys, whose default can differ."""
    for key in keys:
        if key not in record["config"]:
            raise UserError(f"'{path}': config.{key} is missing; restore the original value")


def refuse_incomplete(values: Mapping[str, Any], record: Mapping[str, Any], file: str = "run.json") -> None:
    """Refuse URLs that the command line must give again: recorded without their secrets, or with variables.

    An untrusted record could send the value of a variable to its own URL.

    Raises:
        UserError: the first such key.
    """
    for listed, why in (
        ("masked", f"{file} does not contain the secrets of"),
        ("from_environment", f"{file} puts an environment variable into"),
    ):
        for path, text in _listed(record, listed):
            with suppress(KeyError, IndexError, TypeError):
                is_prompt = list(path) in (["model", "prefix"], ["model", "suffix"])  # saved in checkpoints
                if ("://" in str(text) or is_prompt) and _at(values, path) == text:
                    key = ".".join(map(str, path))
                    raise UserError(f"{key}: {why} '{text}'; give {key} again")


def _listed(record: Mapping[str, Any], entry: str) -> Iterator[tuple[Sequence[Any], Any]]:
    """Yield the paths listed in a record's entry, each with the configuration's text there."""
    for path in record.get(entry) or []:
        with suppress(KeyError, IndexError, TypeError):
            yield path, _at(record["config"], path)


def mask_composed(composed: DictConfig | ListConfig) -> None:
    """Mask URLs in a composed configuration, which Hydra writes to `.hydra/`; interpolations stay unresolved."""
    for path, text in _texts(OmegaConf.to_container(composed)):
        if (masked := _url_without_secrets(text)) != text:
            node = _at(composed, path[:-1])
            with flag_override(node, ["readonly", "struct"], False):
                node[path[-1]] = masked.replace("${", "\\${")  # keep a masked interpolation as text


def watch_environment() -> None:
    """Start tracking the variables that `${oc.env:NAME}` reads, to mask them in messages."""
    _read.clear()
    _register("oc.env", _watched)


def _register(name: str, resolver: Callable[..., Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OmegaConf 2.4 deprecates what 2.3 needs
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _watched(name: str, *default: Any) -> Any:
    _read.add(name)
    return oc.env(name, *default)


def mask_variables(text: str) -> str:
    """Return a text with the values of secret variables, if a configuration has read them, as expressions."""
    for name in sorted(_read):
        for form in _forms(os.environ.get(name, "")) if is_secret(name) else []:
            text = text.replace(form, f"${{oc.env:{name}}}")
    return text


def _forms(value: str) -> list[str]:
    """Return the forms of a value in messages, longest first; an empty list if it is too short to mask."""
    if len(value) < _MIN_SECRET:
        return []
    forms = {value, printable(value), one_line(value), repr(value)[1:-1], quote(value), quote(value, ""), value.lower()}
    return sorted(forms, key=len, reverse=True)


def is_secret(name: str) -> bool:
    """Return whether a variable's value can be secret, and so is not recorded."""
    patterns = [*_NO_SECRETS, *re.split(r"[,\s]+", os.environ.get(RECORD_VARIABLE, ""))]
    return not any(fnmatchcase(name, pattern) for pattern in patterns)


@contextmanager
def unresolved_environment() -> Iterator[None]:
    """Make `${oc.env:NAME}` resolve to itself if NAME is set and can be secret."""

    def env(name: str, *default: Any) -> Any:
        return f"${{oc.env:{name}}}" if name in os.environ and is_secret(name) else oc.env(name, *default)

    def decode(expr: str | None, _parent_: Any, _node_: Any) -> Any:
        if isinstance(expr, str) and _EXPRESSION.search(expr):
            return f"${{oc.decode:{expr}}}"
        return oc.decode(expr, _parent_, _node_)

    _register("oc.env", env)
    _register("oc.decode", decode)
    try:
        yield
    finally:
        _register("oc.env", _watched)
        _register("oc.decode", oc.decode)


def _children(node: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(node, Mapping):
        yield from node.items()
    elif isinstance(node, list):
        yield from enumerate(node)


def _differences(values: Any, others: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the paths of values that differ between two configurations because of the environment."""
    if isinstance(values, Mapping) and isinstance(others, Mapping) and values.keys() == others.keys():
        for name in values:
            yield from _differences(values[name], others[name], (*path, name))
    elif isinstance(values, list) and isinstance(others, list) and len(values) == len(others):
        for index, (value, other) in enumerate(zip(values, others, strict=True)):
            yield from _differences(value, other, (*path, index))
    elif values != others and "${oc." in str(others):
        yield path


def _texts(values: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(values, str):
        yield path, values
    for name, value in _children(values):
        yield from _texts(value, (*path, name))


def _queries(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the queries of URLs in a configuration, and their values with names of secrets."""
    for _, text in _texts(values):
        for query in re.findall(r"://[^\s?;#]*[?;#](\S+)", text):
            secrets = [value for name, value in parse_qsl(query) if _NAMES_SECRET.search(name)]
            yield from (value for value in (query, *secrets) if len(value) >= _MIN_SECRET)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_secrets(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return _url_without_secrets(value) if isinstance(value, str) else value


def _url_without_secrets(text: str) -> str:
    """Mask a text with `without_secrets`, but keep a URL's query with values only from the environment."""
    query = text.partition("?")[2]
    if query and re.fullmatch(r"([\w.-]+=\$\{oc\.env:\w+\}(&|$))+", query):
        return without_secrets(text.partition("?")[0]) + "?" + query
    return without_secrets(text)


def _at(values: Any, path: Sequence[str | int]) -> Any:
    for name in path:
        values = values[name]
    return values
