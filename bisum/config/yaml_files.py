"""Read a user's YAML file, with limits on its size, nesting and aliases."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bisum.config.messages import one_line_of
from bisum.errors import UserError, printable, shown

MAX_BYTES = 250_000
"""Limit on the size of a file; reading this much takes a second."""
MAX_LEVELS = 50
"""Limit on the nesting of mappings and lists, in files and arguments; OmegaConf fails at twice this depth."""
_LONG_TEXT = 100
"""Number of characters in a text that count as one more value."""
_MAX_VALUES = 20_000
"""Limit on the values of a file, including values repeated by aliases."""
_LONG_NUMBER = re.compile(r"[-+.]?[0-9][0-9a-fA-FxXoO_:.+-]{399,}")
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")}


def yaml_config(text: str, path: Path) -> DictConfig:
    """Return the keys and values in the text of a YAML file, which can be empty.

    Raises:
        UserError: a line with the file, line and column of an error.
    """
    try:
        _check(text)
        config = OmegaConf.load(io.StringIO(text))
    except _PositionedError as error:
        raise UserError(f"{_name(path)}, {error}") from error
    except yaml.reader.ReaderError as error:
        raise UserError(f"{_name(path)}, {_place(text, error.position)}: not valid YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{_name(path)}{place}: not valid YAML: {error.problem}") from error
    except KeyError as error:  # PyYAML's error for a text with the tag !!bool
        raise UserError(f"{_name(path)}: {error} is not true or false") from error
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, OSError) as error:
        key = getattr(error, "full_key", None)
        raise UserError(f"{_name(path)}: {f'{key}: ' if key else ''}{one_line_of(error)}") from error
    assert isinstance(config, DictConfig)
    return config


def _name(path: Path) -> str:
    return printable(str(path))


def yaml_text(path: Path) -> str:
    """Return the text of a file without a byte order mark; raises `UserError` if it cannot be read."""
    name = _name(path)
    try:
        if not path.exists():
            raise UserError(f"{name}: is a broken symbolic link")
        if not path.is_file():
            raise UserError(f"{name}: is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise UserError(f"{name}: larger than {MAX_BYTES:,} bytes, the limit for a configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff"))
        encoding = "is UTF-16 or UTF-32" if is_wide else f"is not UTF-8 (byte {error.start + 1:,})"
        raise UserError(f"{name}: {encoding}; convert the file to UTF-8") from error


class _PositionedError(Exception):
    """An error with its position in a file."""

    def __init__(self, mark: yaml.Mark, message: str) -> None:
        super().__init__(f"line {mark.line + 1}, column {mark.column + 1}: {message}")


@dataclass
class _Collection:
    """An open mapping or list, whose end has not been read."""

    anchor: str | None
    before: int
    """Number of values before it."""
    is_mapping: bool
    keys: set[str] = field(default_factory=set)
    expects_key: bool = True
    """Whether the next item of a mapping is a key."""


def _check(text: str) -> None:
    """Check the structure of a text without building its values; raises `_PositionedError` or a `YAMLError`."""
    sizes: dict[str, int] = {}
    opened: list[_Collection] = []
    values = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _PositionedError(mark, "second YAML document; a configuration file must have exactly one")
        if isinstance(event, yaml.CollectionEndEvent):
            ended = opened.pop()
            if ended.anchor:
                sizes[ended.anchor] = values - ended.before
        if not isinstance(event, yaml.NodeEvent):
            continue
        _check_place(event, opened)
        values += 1
        if isinstance(event, yaml.AliasEvent):
            if any(collection.anchor == event.anchor for collection in opened):
                raise _PositionedError(mark, f"alias *{event.anchor} refers to the node that contains it")
            values += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event)
            values += (long := len(event.value) // _LONG_TEXT)
            if event.anchor:
                sizes[event.anchor] = 1 + long
        else:
            _check_tag(event)
            opened.append(_Collection(event.anchor, values, isinstance(event, yaml.MappingStartEvent)))
            if len(opened) > MAX_LEVELS:
                raise _PositionedError(mark, f"nested more than {MAX_LEVELS} levels deep")
        if values > _MAX_VALUES:
            raise _PositionedError(mark, f"more than {_MAX_VALUES:,} values, including those repeated by aliases")


def _check_place(event: yaml.NodeEvent, opened: list[_Collection]) -> None:
    """Refuse a list or single value at the top of a file, and duplicate keys."""
    if not opened:
        is_empty = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value in ("", "~", "null")
        if not (is_empty or isinstance(event, yaml.MappingStartEvent)):
            given = "a list" if isinstance(event, yaml.SequenceStartEvent) else "a single value"
            raise _PositionedError(event.start_mark, f"expected keys and values (key: value), not {given}")
        return
    around = opened[-1]
    if not around.is_mapping:
        return
    if around.expects_key and isinstance(event, yaml.ScalarEvent):
        if event.value in around.keys and event.value != "<<":
            raise _PositionedError(event.start_mark, f"duplicate key {shown(event.value)}")
        around.keys.add(event.value)
    elif around.expects_key:
        raise _PositionedError(event.start_mark, "a key must be text")
    around.expects_key = not around.expects_key


def _check_scalar(event: yaml.ScalarEvent) -> None:
    _check_tag(event)
    if event.style is None and _LONG_NUMBER.fullmatch(event.value):
        message = f"{shown(event.value)} is a number with {len(event.value):,} digits; quote it if it is text"
        raise _PositionedError(event.start_mark, message)
    if "${" in event.value and nesting(event.value) > MAX_LEVELS:
        raise _PositionedError(event.start_mark, f"interpolation nested more than {MAX_LEVELS} levels deep")


def nesting(text: str) -> int:
    """Return the nesting depth of brackets of any kind in a text."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[{(\]})]", text):
        depth += 1 if bracket in "[{(" else -1
        deepest = max(deepest, depth)
    return deepest


def _check_tag(event: yaml.NodeEvent) -> None:
    """Refuse a tag that creates anything except plain data."""
    if event.tag is not None and event.tag != "!" and event.tag not in _TAGS:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        raise _PositionedError(event.start_mark, f"unsupported tag {tag}; write plain values")


def _place(text: str, position: int) -> str:
    before = text[:position]
    return f"line {before.count(chr(10)) + 1}, column {position - before.rfind(chr(10))}"
