"""Command-line arguments parsed by Hydra's grammar: `key=value`, `group=option`, `~key` and sweeps."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, RangeSweep, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bisum.config.messages import one_line_of, unreadable_override
from bisum.config.typed_text import typed, with_numbers
from bisum.config.yaml_files import MAX_LEVELS, nesting
from bisum.errors import UserError, one_line

_MAX_JOBS = 10_000
"""Limit on the jobs of a sweep, and thus on the values of one argument."""
_MAX_CHARACTERS = 120_000
"""Limit on the length of an argument, as in shells."""
_MAX_PARTS = 50
"""Limit on the parts of a dotted key."""


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Return the arguments parsed by Hydra's grammar, with the text of each number; see `bisum.config.typed_text`.

    Raises:
        UserError: Hydra cannot read an argument.
    """
    from hydra.core.global_hydra import GlobalHydra

    for argument in arguments:
        _check_shape(argument)
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    try:
        overrides = [with_numbers(override, parser.functions) for override in parser.parse_overrides(list(arguments))]
    except HydraException as error:
        raise UserError(unreadable_override(error)) from error
    except ValueError as error:  # Python rejects numbers with thousands of digits
        long = max(arguments, key=len)
        raise UserError(f"{brief(long)}: {one_line(error).partition(';')[0]}; quote it if it is text") from error
    except RecursionError as error:
        raise UserError(f"{brief(max(arguments, key=len))}: nested too deeply") from error
    if nameless := [typed(override) for override in overrides if not override.key_or_group]:
        raise UserError(f"'{nameless[0]}': no key before the equals sign")
    return overrides


def brief(argument: str) -> str:
    """Return an argument, cut to fit into a message."""
    return argument if len(argument) <= 60 else f"{argument[:57]}..."


def _check_shape(argument: str) -> None:
    """Refuse an argument that Hydra's grammar or OmegaConf would take minutes to read, or fail on."""
    key, _, value = argument.partition("=")
    if len(argument) > _MAX_CHARACTERS:
        raise UserError(
            f"{brief(argument)}: an argument of {len(argument):,} characters; the limit is {_MAX_CHARACTERS:,}"
        )
    if len(re.split("[./@]", key)) > _MAX_PARTS:
        raise UserError(f"{brief(key)}: a key of {len(re.split('[./@]', key)):,} parts; the limit is {_MAX_PARTS}")
    bare = _QUOTED.sub("", value)
    if max(nesting(bare), nesting(value) if "${" in value else 0) > MAX_LEVELS:
        raise UserError(f"{brief(key)}: nested too deeply; the limit is {MAX_LEVELS} levels")
    if bare.count(",") >= _MAX_JOBS:
        raise UserError(f"{brief(key)}: {bare.count(',') + 1:,} values; the limit is {_MAX_JOBS:,}")


_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\\.", re.DOTALL)
"""Quoted text, or an escaped character."""


def apply_override(composed: DictConfig, override: Override) -> None:
    """Set or delete a key of a composed configuration, like Hydra; new keys are allowed and left to the schema.

    Raises:
        UserError: the value does not fit the key, or there is nothing to delete.
    """
    if override.is_delete():
        try:
            _delete(composed, override.key_or_group, override.value())
        except (OmegaConfBaseException, TypeError, ValueError) as error:
            raise UserError(f"{override.key_or_group}: {one_line_of(error)}") from error
    else:
        set_key(composed, override.key_or_group, override.value())


def set_key(composed: DictConfig, key: str, value: Any, *, merge: bool = True) -> None:
    """Set a key or merge a mapping into it; raises `UserError` if the value does not fit."""
    try:
        OmegaConf.update(composed, key, value, merge=merge, force_add=True)
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        present = OmegaConf.select(composed, key, throw_on_resolution_failure=False)
        if isinstance(value, list | dict) and isinstance(value, list) != OmegaConf.is_list(present):
            wanted, given = ("a mapping", "a list") if isinstance(value, list) else ("a list", "a mapping")
            raise UserError(f"{key}: expected {wanted}, not {given}") from error
        parent = key.rpartition(".")[0]
        if OmegaConf.is_list(OmegaConf.select(composed, parent, throw_on_resolution_failure=False)):
            raise UserError(f"{key}: {parent} is a list; give the whole list, as in {parent}=[a,b]") from error
        raise UserError(f"{key}: {one_line_of(error)}") from error


def _delete(composed: DictConfig, key: str, value: Any) -> None:
    found = OmegaConf.select(composed, key, throw_on_missing=False)
    if found is None:
        raise UserError(f"{key}: cannot be deleted; the key is missing or null")
    if value is not None and value != found:
        raise UserError(f"{key}: cannot be deleted; its value is {found}, not {value}")
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    with open_dict(node):
        del node[name]


def swept(overrides: Sequence[Override], zipped: Sequence[str] = ()) -> list[list[Override]]:
    """Return the overrides of each job of a sweep: all combinations of values, with the last argument fastest.

    The values of `zipped` keys advance together.

    Raises:
        UserError: an empty sweep, or one over an interval, which needs a sampling sweeper; a zipped key that is not
            swept or differs from the first in its number of values.
    """
    values: dict[tuple[str, int], list[Override]] = {}  # a later argument replaces an earlier one for the same key
    # Hydra's own arguments come first and never replace each other.
    hydras = [override for override in overrides if override.is_hydra_override()]
    for override in overrides:
        if override.is_hydra_override():
            continue
        key = override.get_key_element()
        if not override.is_sweep_override():
            is_merged = isinstance(override.value(), dict)  # with the value of an earlier argument
            values[key, len(values) if is_merged else -1] = [replace(override, input_line=None)]
            continue
        if not override.is_discrete_sweep():
            raise UserError(f"{key}: an interval needs a search; add hparams_search=optuna, or list values")
        values[key, -1] = jobs = list(values_of(override))
        if not jobs:
            raise UserError(f"{override.key_or_group}: '{typed(override)}' matches no values")
    axes = _zipped([[[override] for override in choices] for choices in values.values()], zipped)
    check_number(math.prod(map(len, axes)))
    return [[*hydras, *itertools.chain.from_iterable(job)] for job in itertools.product(*axes)]


def check_number(jobs: int) -> None:
    """Raise `UserError` for too many jobs in a sweep."""
    if jobs > _MAX_JOBS:
        raise UserError(f"a sweep of {jobs:,} jobs exceeds the limit of {_MAX_JOBS:,}; give fewer values")


def _zipped(axes: list[list[list[Override]]], keys: Sequence[str]) -> list[list[list[Override]]]:
    """Return the axes of a sweep, each a list of values, with those of `keys` combined at the first one's position."""
    if not keys:
        return axes
    named = {axis[0][0].key_or_group: axis for axis in axes if len(axis) > 1}
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise UserError(f"sweep.zip: lists {key} twice")
        if key not in named:
            raise UserError(f"sweep.zip: '{key}' is not swept; give it several values, as in {key}=1,2")
        if len(named[key]) != len(named[keys[0]]):
            counts = f"{keys[0]} has {len(named[keys[0]])} values but {key} has {len(named[key])}"
            raise UserError(f"sweep.zip: {counts}; zipped keys need the same number of values")
    together = [list(itertools.chain.from_iterable(steps)) for steps in zip(*(named[key] for key in keys), strict=True)]
    places = [next(at for at, axis in enumerate(axes) if axis is named[key]) for key in keys]
    kept = [number for number in range(len(axes)) if number not in places or number == min(places)]
    return [together if number == min(places) else axes[number] for number in kept]


def values_of(override: Override) -> Iterator[Override]:
    """Yield an override for each value of a sweep."""
    if (length := _length_of_range(override._value)) > _MAX_JOBS:  # a shuffled range is kept in memory
        raise UserError(f"'{typed(override)}': a sweep over {length:,} values; the limit is {_MAX_JOBS:,}")
    is_glob = override.value_type is ValueType.GLOB_CHOICE_SWEEP
    try:
        for value in override.sweep_iterator():
            # A file shared by several options is not an option.
            if not (is_glob and str(value).startswith("_")):
                yield replace(override, value_type=ValueType.ELEMENT, _value=value, input_line=None)
    except (HydraException, ValueError, ArithmeticError) as error:
        raise UserError(f"'{typed(override)}': {one_line(error)}") from error


def _length_of_range(value: Any) -> int:
    """Return the approximate number of values in a range; 0 for another sweep or an invalid range."""
    if not isinstance(value, RangeSweep) or value.start is None or value.stop is None or not value.step:
        return 0
    try:
        return max(0, math.ceil((value.stop - value.start) / value.step))
    except (ArithmeticError, ValueError):  # infinite, or not a number
        return _MAX_JOBS + 1 if not any(map(math.isnan, (value.start, value.stop, value.step))) else 0


def literal(value: Any) -> Any:
    """Escape the texts in plain data, so OmegaConf does not interpolate `${` in them."""
    if isinstance(value, dict):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [literal(item) for item in value]
    return re.sub(r"(\\*)\$\{", lambda found: rf"{found[1] * 2}\${{", value) if isinstance(value, str) else value


def quoted(text: str) -> str:
    """Quote a text for Hydra's grammar, unless it is a plain path."""
    plain = re.fullmatch(r"[\w.][\w.+-]*/[\w./+-]*|/[\w./+-]+", text, re.ASCII)
    return text if plain else QuotedString(literal(text), Quote.single).with_quotes()
