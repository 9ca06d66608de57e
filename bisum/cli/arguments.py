"""Parser of the command line: command, runs, files, settings, options, and texts after `--`."""

from __future__ import annotations

import re
import shlex
from argparse import Namespace
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from bisum.cli.commands import COMMANDS
from bisum.cli.options import NOT_FOR_BISUM, OPTIONS, option_parser
from bisum.config.overrides import quoted
from bisum.config.schema import SCHEMAS
from bisum.config.targets import take_allow_targets
from bisum.errors import UserError, nearest


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """A parsed command line."""

    named: str | None
    """The command on the line, if any."""
    arguments: list[str]
    """Hydra's arguments, with a RUN as `run=RUN` and FILEs as `files=[FILE,...]`; or a plain command's settings."""
    runs: list[str]
    """The runs and folders on the line, if the command composes nothing."""
    texts: list[str]
    """The arguments after `--`, unchanged."""
    topics: list[str]
    """Topics of `--help`."""
    help: bool
    hydra_help: bool
    info: str | None
    cfg: str | None
    resolve: bool
    package: str | None
    config_dir: str | None
    multirun: bool

    @property
    def command(self) -> str:
        """The command; `train` if the line names none."""
        return self.named or "train"

    def with_arguments(self, arguments: Sequence[str]) -> str:
        """Return a command line to copy, with `arguments` instead of the settings."""
        folder = ["--config-dir", self.config_dir] if self.config_dir else []
        return shlex.join(["bisum", *filter(None, [self.named]), *folder, *arguments])


def parse(arguments: Sequence[str]) -> CommandLine:
    """Parse a command line.

    Raises:
        UserError: a command, option or argument is unknown.
    """
    arguments, texts = before_texts(arguments)
    parser = option_parser()
    options, others = parser.parse_known_args(arguments)
    if unknown := [argument for argument in others if argument.startswith("-") and argument != "-"]:
        flags = [flag for option in OPTIONS for flag in (option.name, option.short) if flag]
        raise UserError(
            f"unknown option '{unknown[0]}'{nearest(unknown[0], flags)} (settings are key=value; see bisum --help)"
        )
    for flag in NOT_FOR_BISUM:
        if (value := getattr(options, flag.strip("-").replace("-", "_"))) is not None:
            raise UserError(f"{flag} {value}: not supported; add your YAML files with --config-dir DIR")
    _check_combination(options)
    names = [argument for argument in others if "=" not in argument and not argument.startswith("~")]
    command = next((name for name in names if name in COMMANDS or not options.help), None)
    if command is not None:
        if command not in COMMANDS:
            _suggest_corpus(command, "train")
            raise UserError(f"unknown command '{command}'{nearest(command, COMMANDS)} (valid: {', '.join(COMMANDS)})")
        others.remove(command)
    if texts is not None and command != "summarize":
        raise UserError(f"bisum {command or 'train'} accepts no texts after '--'; use bisum summarize")
    settings: list[str] = []
    topics: list[str] = []
    operands: list[str] = []
    for argument in take_allow_targets(others):
        if options.help and "=" not in argument:
            if not (command and COMMANDS[command].operands and ("/" in argument or _exists(argument))):
                topics.append(argument)
        elif not _is_setting(argument, command or "train"):
            operands.append(argument)
        else:
            settings.append(argument)
    composes = COMMANDS[command or "train"].composes
    if operands and composes:
        settings = [*_operand_settings(operands, command or "train", settings), *settings]
    return CommandLine(
        named=command,
        arguments=settings,
        runs=[] if composes else operands,
        texts=texts or [],
        topics=topics,
        help=options.help,
        hydra_help=options.hydra_help,
        info=options.info,
        cfg=options.cfg,
        resolve=options.resolve,
        package=options.package,
        config_dir=options.config_dir,
        multirun=options.multirun or (command == "evaluate" and len(operands) > 1),
    )


def _check_combination(options: Namespace) -> None:
    """Refuse options that need or exclude another one; otherwise the line would start a run."""
    if options.cfg is None:
        for name, given in (("--package", options.package is not None), ("--resolve", options.resolve)):
            if given and not options.help:
                raise UserError(f"{name}: needs --cfg job")
    if options.info and options.multirun:
        raise UserError("--info: explains a single job; drop -m")
    if options.info and options.cfg:
        raise UserError("--info: cannot be combined with --cfg; drop one")


def before_texts(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the arguments before and after the first `--`; None for the latter if there is no `--`."""
    arguments = list(arguments)
    if "--" not in arguments:
        return arguments, None
    end = arguments.index("--")
    return arguments[:end], arguments[end + 1 :]


def known_keys(command: str) -> Collection[str]:
    """Return the top-level keys of a command's configuration."""
    from bisum.config.plain import PLAIN_SCHEMAS  # only a line with operands needs it

    return [field.name for field in fields(PLAIN_SCHEMAS.get(command) or SCHEMAS[command])]


def _is_setting(argument: str, command: str) -> bool:
    """Distinguish `key=value` and `~key` from a path or name, which may contain an equals sign."""
    key, equals, _ = argument.lstrip("+").partition("=")
    if not COMMANDS[command].operands:
        return bool(equals) or argument.startswith("~")
    if "/" in key and not key.lstrip("~").startswith("hydra/"):
        return False
    if argument.startswith("~"):
        return argument != "~"
    is_known = key.partition(".")[0].partition("@")[0] in {*known_keys(command), "hydra"}
    return bool(equals) and (is_known or not _exists(argument))


_LIKE_TEXT = re.compile(r"\s|\.(txt|csv|tsv|parquet|ndjson|jsonl?|gz|bz2|xz|zst|zip)$", re.IGNORECASE)
"""Marks of a text or a file name that no hub name has."""
_LIKE_TABLE = re.compile(r"\.(csv|tsv|parquet|ndjson|jsonl?)(\.(gz|bz2|xz|zst|zip))?$", re.IGNORECASE)
"""Ending of the name of a file of rows."""


def _operand_settings(operands: list[str], command: str, settings: Sequence[str]) -> list[str]:
    """Return runs and files as settings."""
    if command != "summarize":
        for argument in operands:
            _suggest_corpus(argument, command, [other for other in operands if other != argument])
    if not COMMANDS[command].operands:
        raise UserError(
            f"unexpected argument '{operands[0]}' for bisum {command}; settings are key=value, groups group=option"
        )
    files = [argument for argument in operands if _is_file(argument)] if command == "summarize" else []
    runs = [argument for argument in operands if argument not in files]
    for key, given in (("run", runs), ("files", files)):
        if given and (again := [argument for argument in settings if argument.lstrip("+").startswith(f"{key}=")]):
            raise UserError(f"'{given[0]}' and '{again[0]}': both set {key}; drop one")
    if command == "summarize":
        may_be_hub_name = [argument for argument in runs[:1] if not _LIKE_TEXT.search(argument)]
        unknown = next(
            (argument for argument in runs if argument not in may_be_hub_name and not _exists(argument)), None
        )
        if unknown is not None:
            shown = unknown if len(unknown) <= 60 else f"{unknown[:60]}..."
            raise UserError(f"'{shown}': no such file; put texts after --")
        if len(runs) > 1:
            raise UserError(f"bisum summarize accepts one RUN, not '{runs[0]}' and '{runs[1]}'")
    converted = [f"run={','.join(map(quoted, runs))}"] if runs else []
    return [*converted, f"files=[{','.join(map(quoted, files))}]"] if files else converted


def _suggest_corpus(argument: str, command: str, others: Sequence[str] = ()) -> None:
    """Refuse a file of rows, and suggest the command line that reads it as a corpus."""
    if _LIKE_TABLE.search(argument):
        key = "corpus.test" if command == "evaluate" else "corpus.path"
        given = f"{key}={argument}" if re.fullmatch(r"[\w./:-]+", argument, re.ASCII) else f"{key}={quoted(argument)}"
        raise UserError(
            f"'{argument}' is not a {'run' if command == 'evaluate' else 'setting'}; to read rows from a file: "
            + shlex.join(["bisum", command, *others, "corpus=files", given])
        )


def _is_file(argument: str) -> bool:
    """Distinguish a FILE from a RUN; a URL or a pipe from the shell (`<(...)`) is a FILE."""
    is_url = "://" in argument and not argument.startswith("pkg://") and not any(map(str.isspace, argument))
    return argument == "-" or is_url or (_exists(argument) and not Path(argument).is_dir())


def _exists(argument: str) -> bool:
    try:
        return Path(argument).exists()
    except OSError:  # a text that is too long for a file name
        return False
