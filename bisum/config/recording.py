"""The configuration as a run records it: without secrets.

A value that `${oc.env:NAME}` takes from the environment is recorded as this expression, and is taken from the
environment again when a command starts from the record. A URL is recorded without its query, which may hold a
signature, and without a login.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Environment variable with the names, or patterns such as SLURM_*, of further variables that are no secrets."""

_NO_SECRETS = ("HOME", "USER", "WANDB_PROJECT", "XDG_*")
"""Variables whose values are recorded."""

_LABELS = ("project", "entity", "name", "group", "tags")
"""Keys of `tracker` that every tracker shows to others."""

_EXPRESSION = re.compile(r"\$\{oc\.env:([^}]*)\}")
_RECORDED = re.compile(r"\$\{oc\.env:[A-Za-z_]\w*\}|\$\{oc\.decode:\$\{oc\.env:[A-Za-z_]\w*\}\}")
"""The only expressions that a record may hold: it may be a stranger's."""

_NAMES_SECRET = re.compile("sig|token|key|secret|passw|credential|auth|access", re.IGNORECASE)

_SHORTEST = 6
"""Fewest letters of a value that is masked in texts; shorter ones occur in unrelated words."""

_read: set[str] = set()
"""The variables that configurations of this process have read."""

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Recorded:
    """A configuration as it is recorded."""

    config: Mapping[str, Any]
    """Plain data."""
    from_environment: Sequence[Sequence[str | int]]
    """The keys and indices that lead to each expression in it that takes a value from the environment."""
    masked: Sequence[Sequence[str | int]]
    """The keys and indices that lead to each URL in it that lacks its query or login."""
    masks: Mapping[str, str]
    """Secret values, each with the text that replaces it in messages."""

    def mask(self, text: str, directory: Path | None = None) -> str:
        """Return a message without the secrets; the paths of a run `directory` stay readable."""
        for secret, mask in self.masks.items():
            if directory is None or not f"{directory.absolute()}/".startswith(f"{secret.rstrip('/')}/"):
                text = text.replace(secret, mask)
        return without_secrets(text)


def record_of(values: Mapping[str, Any], resolve: Callable[[], Mapping[str, Any]]) -> Recorded:
    """Return how a configuration is recorded.

    Args:
        values: the configuration as plain data, with every interpolation resolved.
        resolve: resolves the interpolations again.

    Raises:
        UserError: a key takes a value from the environment in a way that cannot be recorded, or that a tracker would
            show.
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
                f"tracker.{path[1]}: comes from {shown} in the environment, and a tracker shows it to others; if it is "
                f"no secret, set {RECORD_VARIABLE}={shown}"
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

    Texts are made `literal`, but for the expressions that the record says to take from the environment.
    """
    if "hydra" in record["config"]:
        raise UserError("config.hydra: no run records such a key; remove it from run.json")
    values: dict[str, Any] = literal(record["config"])
    for path, text in _listed(record, "from_environment"):
        if isinstance(text, str) and "${" not in _RECORDED.sub("", text):
            _at(values, path[:-1])[path[-1]] = text
    return values


def refuse_incomplete(values: Mapping[str, Any], record: Mapping[str, Any], file: str = "run.json") -> None:
    """Refuse what a command line must give again: a URL that was recorded without its secrets, or that gets some.

    A record may be a stranger's, whose URL would get the value of a variable.

    Raises:
        UserError: names the key.
    """
    for listed, why in (
        ("masked", f"{file} does not store the secrets of"),
        ("from_environment", f"{file} puts a variable into"),
    ):
        for path, text in _listed(record, listed):
            with suppress(KeyError, IndexError, TypeError):
                is_prompt = list(path) in (["model", "prefix"], ["model", "suffix"])  # which a checkpoint holds
                if ("://" in str(text) or is_prompt) and _at(values, path) == text:
                    key = ".".join(map(str, path))
                    raise UserError(f"{key}: {why} '{text}'; give {key} again")


def _listed(record: Mapping[str, Any], entry: str) -> Iterator[tuple[Sequence[Any], Any]]:
    """Yield the paths that an entry of a record lists, each with the text in the configuration there."""
    for path in record.get(entry) or []:
        with suppress(KeyError, IndexError, TypeError):
            yield path, _at(record["config"], path)


def mask_composed(node: DictConfig | ListConfig) -> None:
    """Mask the URLs in a composed configuration, which Hydra writes to `.hydra/`; interpolations stay unresolved."""
    for key, value in _children(OmegaConf.to_container(node)):
        if isinstance(value, str):
            if (masked := _url_without_secrets(value)) != value:
                with flag_override(node, ["readonly", "struct"], False):
                    node[key] = masked.replace("${", "\\${")  # a masked interpolation is none
        elif isinstance(value, dict | list) and not OmegaConf.is_interpolation(node, key):
            mask_composed(node[key])


def watch_environment() -> None:
    """Note from now on which variables `${oc.env:NAME}` reads, so that messages can be masked."""
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
    """Return a text in which the values of the variables that a configuration has read are expressions."""
    for name in sorted(_read):
        for form in _forms(os.environ.get(name, "")) if is_secret(name) else []:
            text = text.replace(form, f"${{oc.env:{name}}}")
    return text


def _forms(value: str) -> list[str]:
    """Return the forms in which a message may show a value, the longest first; none if it is too short to be masked."""
    if len(value) < _SHORTEST:
        return []
    forms = {value, printable(value), one_line(value), repr(value)[1:-1], quote(value), quote(value, ""), value.lower()}
    return sorted(forms, key=len, reverse=True)


def is_secret(name: str) -> bool:
    """Return whether a variable's value may be a secret, which is not recorded."""
    patterns = [*_NO_SECRETS, *re.split(r"[,\s]+", os.environ.get(RECORD_VARIABLE, ""))]
    return not any(fnmatchcase(name, pattern) for pattern in patterns)


@contextmanager
def unresolved_environment() -> Iterator[None]:
    """Let `${oc.env:NAME}` resolve to itself where NAME is set and may be a secret."""

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
    """Yield the paths at which plain data differs."""
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
    """Yield the queries of the URLs in a configuration, and the values in them that are secrets by their names."""
    for _, text in _texts(values):
        for query in re.findall(r"://[^\s?;#]*[?;#](\S+)", text):
            secrets = [value for name, value in parse_qsl(query) if _NAMES_SECRET.search(name)]
            yield from (value for value in (query, *secrets) if len(value) >= _SHORTEST)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_secrets(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return _url_without_secrets(value) if isinstance(value, str) else value


def _url_without_secrets(text: str) -> str:
    """Mask a text as `without_secrets` does, unless all values of its URL's query come from the environment."""
    query = text.partition("?")[2]
    if query and re.fullmatch(r"([\w.-]+=\$\{oc\.env:\w+\}(&|$))+", query):
        return without_secrets(text.partition("?")[0]) + "?" + query
    return without_secrets(text)


def _at(values: Any, path: Sequence[str | int]) -> Any:
    for name in path:
        values = values[name]
    return values
