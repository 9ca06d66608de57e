"""Shell completion: candidates at the cursor, and the script for a shell's start-up file.

The option and its arguments are Hydra's: `bisum -sc install=SHELL` prints the script that the shell evaluates. That
script calls `bisum -sc query=SHELL` with the command line in `COMP_LINE`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from bisum.cli.commands import COMMANDS
from bisum.cli.options import OPTIONS
from bisum.cli.reference import LAUNCHER, composed_keys, launcher_keys, opening
from bisum.cli.shells import SCRIPTS, Candidate, candidates_for, script_for, split_line
from bisum.config.checking import LIST_GROUPS
from bisum.config.composition import Composer
from bisum.config.hydra_app import group_options
from bisum.config.plain import PLAIN_SCHEMAS
from bisum.config.reference import Key, keys_of
from bisum.config.targets import take_allow_targets
from bisum.errors import UserError
from bisum.interfaces.defaults import defaults_of

_OPTION_VALUES = {option.name: option.choices for option in OPTIONS if option.choices} | {
    "--shell-completion": tuple(f"install={shell}" for shell in SCRIPTS)
}
_LONG_NAMES = {option.short: option.name for option in OPTIONS if option.short}
_PATH_KEY = re.compile(r"\b(file|files|folder|directory|path)\b", re.IGNORECASE)


def answer(arguments: Sequence[str]) -> str:
    """Return the output of `bisum -sc install=SHELL` or `query=SHELL`.

    Raises:
        UserError: the request or the shell is unknown.
    """
    request = next((argument for argument in arguments if "=" in argument), "")
    action, _, shell = request.partition("=")
    if action not in ("install", "query") or shell not in SCRIPTS:
        valid = ", ".join(f"install={name}" for name in SCRIPTS)
        raise UserError(f"--shell-completion: expected one of {valid}, not '{request}'")
    if action == "install":
        return script_for(shell)
    line = os.environ.get("COMP_LINE", "")
    typed, current, quote = split_line(line)
    found = dict.fromkeys(candidates(typed, current))
    return "".join(f"{line}\n" for line in candidates_for(shell, found, current, quote))


def candidates(arguments: Sequence[str], current: str) -> Iterator[Candidate]:
    """Yield arguments that can follow `arguments`; not all of them begin with `current`, the text typed so far."""
    arguments = list(arguments)
    command = next((argument for argument in arguments if argument in COMMANDS), None)
    if command:
        arguments.remove(command)
    operands = COMMANDS[command].operands if command else ""
    previous = _LONG_NAMES.get(arguments[-1], arguments[-1]) if arguments else ""
    if "--" in arguments:
        return
    if previous == "--config-dir":
        yield from (Candidate(path) for path in _paths(current) if path.endswith("/"))
    elif previous in _OPTION_VALUES:
        yield from map(Candidate, _OPTION_VALUES[previous])
    elif current.startswith("-"):
        yield from (Candidate("-m", option.about) for option in OPTIONS if option.short == "-m")
        yield from (Candidate(option.name, option.about) for option in OPTIONS)
        if "files" in operands:
            yield Candidate("--", "texts to summarize")
    else:
        if command is None and not any("=" in argument for argument in arguments):
            yield from (Candidate(name, found.summary) for name, found in COMMANDS.items())
        if command and not COMMANDS[command].composes:
            yield from _plain(command, current)
            return
        arguments = take_allow_targets(arguments)
        folder = next((after for argument, after in pairwise(arguments) if argument in ("--config-dir", "-cd")), "")
        composer = Composer(command or "train", folder if folder and Path(folder).is_dir() else None)
        if previous == "--package" or {"--help", "-h"} & set(arguments):
            yield from map(Candidate, composer.groups)
            yield from (Candidate(key.name, key.line) for key in _keys(composer, arguments))
        else:
            if operands and "=" not in current:
                yield from (Candidate(path) for path in _paths(current) if path.endswith("/") or "files" in operands)
            yield from _settings(composer, arguments, current)


def _plain(command: str, current: str) -> Iterator[Candidate]:
    """Yield run directories and settings of a command that composes nothing."""
    name, equals, value = current.partition("=")
    keys = list(keys_of(PLAIN_SCHEMAS[command], defaults_of(command)))
    if not equals:
        yield from (Candidate(path) for path in _paths(current) if path.endswith("/"))
        yield from (Candidate(f"{key.name}=", key.line) for key in keys)
    for key in keys:
        if equals and key.name == name:
            yield from (Candidate(f"{name}={found}") for found in _values(key, value))


def _settings(composer: Composer, arguments: Sequence[str], current: str) -> Iterator[Candidate]:
    """Yield groups and keys or, after the equals sign, options and values."""
    sign = current[: len(current) - len(current.lstrip("+~"))]
    name, equals, value = current.removeprefix(sign).partition("=")
    if not equals:
        yield from (Candidate(sign + found.word, found.about) for found in _names(composer, arguments, name))
    elif name == LAUNCHER:
        options = group_options(LAUNCHER)
        yield from (Candidate(f"{sign}{name}={option}") for option in options)
    elif name in composer.groups:
        sweep = bool({"-m", "--multirun"} & set(arguments))
        yield from (Candidate(sign + found.word, found.about) for found in _options(composer, name, value, sweep))
    else:
        for key in _keys(composer, arguments):
            if key.name == name:
                yield from (Candidate(f"{sign}{name}={found}") for found in _values(key, value))


def _keys(composer: Composer, arguments: Sequence[str]) -> list[Key]:
    """Return the keys of the chosen options; ignore wrong or unfinished arguments."""
    given = [argument for argument in arguments if "=" in argument and not argument.startswith(("resume=", "-"))]
    groups = [argument for argument in given if argument.partition("=")[0].lstrip("+") in composer.groups]
    for tried in (given, groups, []):
        with suppress(UserError):
            return composed_keys(composer, tried)
    return []


def _names(composer: Composer, arguments: Sequence[str], prefix: str) -> Iterator[Candidate]:
    """Yield groups and keys; the keys of a node only after its dot is typed."""
    depth = prefix.count(".")
    if depth == 0:
        yield from (Candidate(f"{group}=", ", ".join(options)) for group, options in composer.groups.items())
        yield Candidate("allow_targets=", "packages whose classes may be used")
        yield Candidate("hydra.run.dir=", "the run directory")
        yield Candidate(f"{LAUNCHER}=", "the launcher of a sweep's jobs")
    if prefix.startswith("hydra.launcher."):
        yield from (Candidate(f"{key.name}=", key.line) for key in launcher_keys())
    for key in _keys(composer, arguments):
        if key.name.count(".") == depth:
            yield Candidate(f"{key.name}{'.' if key.is_node else '='}", key.line)


def _options(composer: Composer, group: str, value: str, sweep: bool) -> Iterator[Candidate]:
    """Yield a group's options; for a list such as `filter`, the options that can come next."""
    is_list = group in LIST_GROUPS and (value.startswith("[") or not value)
    done, comma, _ = value.rpartition(",")
    if comma and not is_list and not sweep:
        return
    start = f"{done}{comma}" if comma else "[" if is_list else ""
    named = set(start.strip("[").split(","))
    for option in composer.groups[group]:
        argument = f"{group}={start}{option}"
        if is_list and value == f"{start}{option}":
            yield from (Candidate(f"{argument}]"), Candidate(f"{argument},"))
        elif option not in named:
            yield Candidate(argument, opening(composer.file(group, option))[0])


def _values(key: Key, value: str) -> Iterator[str]:
    if key.choices:
        yield from key.choices
    elif _PATH_KEY.search(key.line) and key.expected.startswith("text"):
        yield from _paths(value)
    elif key.value is not None and not key.is_node:
        yield key.shown


def _paths(prefix: str) -> Iterator[str]:
    """Yield the files and folders whose names begin with `prefix`, folders with a slash."""
    folder, _, name = prefix.rpartition("/")
    where = Path(f"{folder}/" if "/" in prefix else ".").expanduser()
    try:
        found = sorted(where.iterdir())
    except OSError:
        return
    for path in found:
        if path.name.startswith(name) and path.name.startswith(".") == name.startswith("."):
            yield f"{prefix.removesuffix(name)}{path.name}{'/' if path.is_dir() else ''}"
