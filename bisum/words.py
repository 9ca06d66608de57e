"""The words of a command line, taken apart: the command, what it is about, settings, options, and texts after `--`."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser

from bisum.checking import nearest, obey_allow_targets
from bisum.composition import quoted
from bisum.config import SCHEMAS
from bisum.errors import UserError


@dataclass(frozen=True)
class Command:
    """A word of the command line and what it stands for."""

    module: str
    summary: str
    synopsis: str = "[group=option ...] [key=value ...] [-m]"
    """What may follow it."""
    takes: str = ""
    """What its words without an equals sign name: runs, or runs and files."""

    def function(self) -> Callable[..., Any]:
        """Import and return the command's function."""
        function: Callable[..., Any] = importlib.import_module(self.module).run
        return function


COMMANDS = {
    "train": Command("bisum.commands.train", "fine-tune, evaluate each epoch, score the test split once at the end"),
    "baseline": Command("bisum.commands.baseline", "score lead-k, the first k sentences of each document; no training"),
    "explore": Command("bisum.commands.explore", "samples, categories, lengths, repeats, what filters drop; plots"),
    "evaluate": Command(
        "bisum.commands.evaluate",
        "score the starter, a run's best checkpoint or any model on a split; several, one after the other",
        "[RUN ...] [group=option ...] [key=value ...] [-m]",
        "runs",
    ),
    "summarize": Command(
        "bisum.commands.summarize",
        "summaries of texts, files, standard input or rows of a corpus, on standard output",
        "[RUN] [FILE ...] [key=value ...] [-- TEXT ...]",
        "runs and files",
    ),
}


class _Parser(argparse.ArgumentParser):
    """Hydra's argument parser, whose complaints become one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (bisum --help lists what there is)")


@dataclass(frozen=True)
class Invocation:
    """The command line, taken apart."""

    command: str | None
    """None: none is named, which stands for train."""
    overrides: list[str]
    """Hydra's words, in which a RUN is `run=RUN`, and FILEs are `files=[FILE,...]`."""
    texts: list[str]
    """What stands after `--`, as it is."""
    topics: list[str]
    """Words that are none of these, for `--help` to tell about."""
    options: argparse.Namespace


def parse(words: Sequence[str]) -> Invocation:
    """Take the command word, RUNs, FILEs, TEXTs and `allow_targets=` off the words and give Hydra's parser the rest.

    Raises:
        UserError: an unknown command or option, or a word that is neither.
    """
    words, texts = before_texts(words)
    wants_help = bool({"-h", "--help"} & set(words))
    parser = get_args_parser()
    parser.__class__ = _Parser
    options, extra = parser.parse_known_intermixed_args(words)
    if extra:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        raise UserError(f"no option '{extra[0]}'{nearest(extra[0], flags)} (settings are key=value; see bisum --help)")
    for flag in ("config_path", "config_name", "experimental_rerun"):
        if (value := getattr(options, flag, None)) is not None:
            raise UserError(f"--{flag.replace('_', '-')} {value}: not for bisum; --config-dir DIR adds your YAML files")
    names = [word for word in options.overrides if "=" not in word and not word.startswith("~")]
    command = next((name for name in names if name in COMMANDS or not wants_help), None)
    if command is not None:
        if command not in COMMANDS:
            raise UserError(f"no command '{command}'{nearest(command, COMMANDS)} (valid: {', '.join(COMMANDS)})")
        options.overrides.remove(command)
    if texts is not None and command != "summarize":
        raise UserError(f"bisum {command or 'train'} takes no texts after '--'; bisum summarize does")
    overrides: list[str] = []
    topics: list[str] = []
    subjects: list[str] = []
    for word in obey_allow_targets(options.overrides):
        if wants_help and "=" not in word:
            if not (command and COMMANDS[command].takes and ("/" in word or _exists(word))):
                topics.append(word)
        elif not _is_setting(word, command or "train"):
            subjects.append(word)
        else:
            overrides.append(word)
    if subjects:
        overrides = [*_named(subjects, command or "train", overrides), *overrides]
        options.multirun = options.multirun or (command == "evaluate" and len(subjects) > 1)
    return Invocation(command, overrides, texts or [], topics, options)


def before_texts(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the words before the first `--`, and those after it (None: there is no `--`)."""
    words = list(words)
    if "--" not in words:
        return words, None
    end = words.index("--")
    return words[:end], words[end + 1 :]


def _is_setting(word: str, command: str) -> bool:
    """Tell `key=value` and `~key` from a path or name, which may have an equals sign of its own."""
    key, equals, _ = word.lstrip("+").partition("=")
    if not COMMANDS[command].takes:
        return bool(equals) or word.startswith("~")
    if "/" in key and not key.lstrip("~").startswith("hydra/"):
        return False
    if word.startswith("~"):
        return word != "~"
    is_known = key.partition(".")[0].partition("@")[0] in {*SCHEMAS[command].__dataclass_fields__, "hydra"}
    return bool(equals) and (is_known or not _exists(word))


_LIKE_TEXT = re.compile(r"\s|\.(txt|jsonl?|gz|bz2|xz|zst|zip)$")
"""What a text or a file's name has, and a hub name has not."""


def _named(subjects: list[str], command: str, overrides: Sequence[str]) -> list[str]:
    """Return the settings that a command's words without an equals sign stand for."""
    if not COMMANDS[command].takes:
        raise UserError(f"bisum {command} takes no '{subjects[0]}' (settings are key=value, groups are group=option)")
    files = [word for word in subjects if _is_file(word)] if command == "summarize" else []
    runs = [word for word in subjects if word not in files]
    for key, given in (("run", runs), ("files", files)):
        if given and (again := [word for word in overrides if word.lstrip("+").startswith(f"{key}=")]):
            raise UserError(f"'{given[0]}' and '{again[0]}': give {key} once")
    if command == "summarize":
        may_be_hub_name = [word for word in runs[:1] if not _LIKE_TEXT.search(word)]
        strange = next((word for word in runs if word not in may_be_hub_name and not _exists(word)), None)
        if strange is not None:
            shown = strange if len(strange) <= 60 else f"{strange[:60]}..."
            raise UserError(f"there is no file '{shown}' (texts come after --)")
        if len(runs) > 1:
            raise UserError(f"bisum summarize takes one RUN, not '{runs[0]}' and '{runs[1]}'")
    named = [f"run={','.join(map(quoted, runs))}"] if runs else []
    return [*named, f"files=[{','.join(map(quoted, files))}]"] if files else named


def _is_file(word: str) -> bool:
    """Tell a FILE from a RUN; a pipe that the shell names (`<(...)`) is a file too."""
    return word == "-" or (_exists(word) and not Path(word).is_dir())


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except OSError:  # a text, too long for a name
        return False
