"""The arguments of a command line as Hydra's grammar reads them: `key=value`, `group=option`, `~key`, sweeps."""

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
from bisum.config.yaml_files import MOST_LEVELS, nesting
from bisum.errors import UserError, one_line

_MOST_JOBS = 10_000
"""The most jobs of a sweep, and so the most values of one argument; more are a mistake."""
_MOST_CHARACTERS = 120_000
"""The longest argument; a shell passes no longer ones."""
_MOST_PARTS = 50
"""The most parts of a dotted key."""


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Return the arguments as Hydra's grammar reads them, with the text of each number; see `bisum.config.typed_text`.

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
    except ValueError as error:  # Python refuses a number with thousands of digits
        long = max(arguments, key=len)
        raise UserError(f"{brief(long)}: {one_line(error).partition(';')[0]}; quote it if it is text") from error
    except RecursionError as error:
        raise UserError(f"{brief(max(arguments, key=len))}: nested too deeply") from error
    if nameless := [typed(override) for override in overrides if not override.key_or_group]:
        raise UserError(f"'{nameless[0]}': no key before the equals sign")
    return overrides


def brief(argument: str) -> str:
    """Return the start of an argument that is too long for a message."""
    return argument if len(argument) <= 60 else f"{argument[:57]}..."


def _check_shape(argument: str) -> None:
    """Refuse an argument that Hydra's grammar or OmegaConf would read for minutes, or not at all."""
    key, _, value = argument.partition("=")
    if len(argument) > _MOST_CHARACTERS:
        raise UserError(
            f"{brief(argument)}: an argument of {len(argument):,} characters; the limit is {_MOST_CHARACTERS:,}"
        )
    if len(re.split("[./@]", key)) > _MOST_PARTS:
        raise UserError(f"{brief(key)}: a key of {len(re.split('[./@]', key)):,} parts; the limit is {_MOST_PARTS}")
    bare = _QUOTED.sub("", value)
    if max(nesting(bare), nesting(value) if "${" in value else 0) > MOST_LEVELS:
        raise UserError(f"{brief(key)}: nested too deeply, more than {MOST_LEVELS} levels")
    if bare.count(",") >= _MOST_JOBS:
        raise UserError(f"{brief(key)}: {bare.count(',') + 1:,} values; the limit is {_MOST_JOBS:,}")


_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\\.", re.DOTALL)
"""Text in quotes, and an escaped character."""


def apply_override(composed: DictConfig, override: Override) -> None:
    """Set or delete a key of a composed configuration, as Hydra does; a key need not exist.

    Whether the key may exist is for the schema to decide.

    Raises:
        UserError: the value cannot stand at that key, or there is nothing to delete.
    """
    if override.is_delete():
        try:
            _delete(composed, override.key_or_group, override.value())
        except (OmegaConfBaseException, TypeError, ValueError) as error:
            raise UserError(f"{override.key_or_group}: {one_line_of(error)}") from error
    else:
        set_key(composed, override.key_or_group, override.value())


def set_key(composed: DictConfig, key: str, value: Any, *, merge: bool = True) -> None:
    """Set a key or merge a mapping into it; raises `UserError` if the value cannot stand there."""
    try:
        OmegaConf.update(composed, key, value, merge=merge, force_add=True)
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
        raise UserError(f"{key}: there is no such key to delete, or its value is null")
    if value is not None and value != found:
        raise UserError(f"{key}: cannot be deleted: its value is {found}, not {value}")
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(composed, parent) if parent else composed
    with open_dict(node):
        del node[name]


def swept(overrides: Sequence[Override], zipped: Sequence[str] = ()) -> list[list[Override]]:
    """Return the overrides of each job of a sweep: every combination of the values, the last argument changing fastest.

    The values of `zipped` keys advance together.

    Raises:
        UserError: a sweep over nothing, or over an interval, which only a sweeper that samples can use; a zipped key
            that is not swept, or has another number of values than the first.
    """
    values: dict[tuple[str, int], list[Override]] = {}  # a key's later argument takes the place of its earlier one
    # Hydra's own arguments come first, and none replaces another.
    hydras = [override for override in overrides if override.is_hydra_override()]
    for override in overrides:
        if override.is_hydra_override():
            continue
        key = override.get_key_element()
        if not override.is_sweep_override():
            is_merged = isinstance(override.value(), dict)  # into what an earlier argument sets
            values[key, len(values) if is_merged else -1] = [replace(override, input_line=None)]
            continue
        if not override.is_discrete_sweep():
            raise UserError(f"{key}: '{typed(override)}' is an interval, not a list; list values, as in {key}=1,2,3")
        values[key, -1] = jobs = list(values_of(override))
        if not jobs:
            raise UserError(f"{override.key_or_group}: '{typed(override)}' matches nothing to sweep over")
    axes = _zipped([[[override] for override in choices] for choices in values.values()], zipped)
    check_number(math.prod(map(len, axes)))
    return [[*hydras, *itertools.chain.from_iterable(job)] for job in itertools.product(*axes)]


def check_number(jobs: int) -> None:
    """Raise `UserError` for more jobs than a sweep may have."""
    if jobs > _MOST_JOBS:
        raise UserError(f"a sweep of {jobs:,} jobs; the limit is {_MOST_JOBS:,}: give fewer values")


def _zipped(axes: list[list[list[Override]]], keys: Sequence[str]) -> list[list[list[Override]]]:
    """Return the axes of a sweep, each a list of values, with those of `keys` made one in the place of the first."""
    if not keys:
        return axes
    named = {axis[0][0].key_or_group: axis for axis in axes if len(axis) > 1}
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise UserError(f"sweep.zip: names {key} twice")
        if key not in named:
            raise UserError(f"sweep.zip: '{key}' is not swept; give it several values, as in {key}=1,2")
        if len(named[key]) != len(named[keys[0]]):
            counts = f"{keys[0]} has {len(named[keys[0]])} values and {key} has {len(named[key])}"
            raise UserError(f"sweep.zip: {counts}; zipped keys need the same number")
    together = [list(itertools.chain.from_iterable(steps)) for steps in zip(*(named[key] for key in keys), strict=True)]
    places = [next(at for at, axis in enumerate(axes) if axis is named[key]) for key in keys]
    kept = [number for number in range(len(axes)) if number not in places or number == min(places)]
    return [together if number == min(places) else axes[number] for number in kept]


def values_of(override: Override) -> Iterator[Override]:
    """Yield an override for each value of a sweep."""
    if (length := _length_of_range(override._value)) > _MOST_JOBS:  # a shuffled range would be kept in memory
        raise UserError(f"'{typed(override)}': a sweep over more than {_MOST_JOBS:,} values, {length:,}")
    is_glob = override.value_type is ValueType.GLOB_CHOICE_SWEEP
    try:
        for value in override.sweep_iterator():
            # A file that several options share is not an option.
            if not (is_glob and str(value).startswith("_")):
                yield replace(override, value_type=ValueType.ELEMENT, _value=value, input_line=None)
    except (HydraException, ValueError, ArithmeticError) as error:
        raise UserError(f"'{typed(override)}': {one_line(error)}") from error


def _length_of_range(value: Any) -> int:
    """Return how many values a range has, or about as many; 0 for another sweep or a range that is wrong."""
    if not isinstance(value, RangeSweep) or value.start is None or value.stop is None or not value.step:
        return 0
    try:
        return max(0, math.ceil((value.stop - value.start) / value.step))
    except (ArithmeticError, ValueError):  # infinite, or not a number
        return _MOST_JOBS + 1 if not any(map(math.isnan, (value.start, value.stop, value.step))) else 0


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
