"""The words of a command line as Hydra's grammar reads them: `key=value`, `group=option`, `~key`, sweeps."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bisum.config.messages import one_line_of, unreadable_override
from bisum.errors import UserError, one_line


def parse_overrides(words: Sequence[str]) -> list[Override]:
    """Return the words as Hydra's grammar reads them; raises `UserError` for one that it cannot read."""
    from hydra.core.global_hydra import GlobalHydra

    try:
        overrides = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(list(words))
    except HydraException as error:
        raise UserError(unreadable_override(error)) from error
    except ValueError as error:  # Python refuses a number with thousands of digits
        raise UserError(f"{' '.join(words)[:60]}: {one_line(error)}") from error
    if nameless := [typed(override) for override in overrides if not override.key_or_group]:
        raise UserError(f"'{nameless[0]}': no key before the equals sign")
    return overrides


def typed(override: Override) -> str:
    """Return the word as it was typed."""
    return override.input_line or ""


def apply_override(composed: DictConfig, override: Override) -> None:
    """Set or delete a key of a composed configuration, as Hydra does; a key need not exist.

    Whether the key may exist is for the schema to decide.

    Raises:
        UserError: the value cannot stand at that key, or there is nothing to delete.
    """
    key = override.key_or_group
    try:
        value = override.value()
        if override.is_delete():
            _delete(composed, key, value)
        else:
            OmegaConf.update(composed, key, value, merge=True, force_add=True)
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        standing = OmegaConf.select(composed, key, throw_on_resolution_failure=False)
        if isinstance(value, list | dict) and isinstance(value, list) != OmegaConf.is_list(standing):
            wanted, given = ("a mapping", "a list") if isinstance(value, list) else ("a list", "a mapping")
            raise UserError(f"{key}: expected {wanted}, not {given}") from error
        parent = key.rpartition(".")[0]
        if OmegaConf.is_list(OmegaConf.select(composed, parent, throw_on_resolution_failure=False)):
            raise UserError(f"{key}: {parent} is a list; give all of it, as in {parent}=[a,b]") from error
        raise UserError(f"{key}: {one_line_of(error)}") from error


def _delete(composed: DictConfig, key: str, value: Any) -> None:
    found = OmegaConf.select(composed, key, throw_on_missing=False)
    if found is None:
        raise UserError(f"Could not delete from config. '{key}' does not exist.")
    if value is not None and value != found:
        raise UserError(f"Could not delete from config. The value of '{key}' is {found} and not {value}.")
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    with open_dict(node):
        del node[name]


def swept_words(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the words of each job of a sweep: every combination of the values, the last word changing fastest.

    Raises:
        UserError: a sweep over nothing, or over an interval, which only a sweeper that samples can use.
    """
    values: dict[str, list[str]] = {}
    # Hydra's own words come first, and none replaces another.
    hydras = [typed(override) for override in overrides if override.is_hydra_override()]
    for override in overrides:
        if override.is_hydra_override():
            continue
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}" if "=" in typed(override) else key]
            continue
        if not override.is_discrete_sweep():
            raise UserError(f"{key}: '{typed(override)}' has no values of its own; list them, as in {key}=1,2,3")
        values[key] = [f"{key}={value}" for value in _values(override)]
        if not values[key]:
            raise UserError(f"{override.key_or_group}: '{typed(override)}' matches nothing to sweep over")
    return [[*hydras, *job] for job in itertools.product(*values.values())]


def _values(override: Override) -> Iterator[str]:
    is_glob = override.value_type is ValueType.GLOB_CHOICE_SWEEP
    for value in override.sweep_string_iterator():
        if not (is_glob and value.startswith("_")):  # a file that several options share is not an option
            yield value


def literal(value: Any) -> Any:
    """Escape the texts in plain data, so that OmegaConf reads no `${` in them as an interpolation."""
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [literal(item) for item in value]
    return re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", value) if isinstance(value, str) else value


def quoted(text: str) -> str:
    """Quote a text for Hydra's grammar, unless it is plainly a path."""
    plain = re.fullmatch(r"[\w.][\w.+-]*/[\w./+-]*|/[\w./+-]+", text, re.ASCII)
    return text if plain else QuotedString(literal(text), Quote.single).with_quotes()
