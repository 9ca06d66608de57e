"""Parse a command line, once: command, runs and files, settings, options, and texts after `--`."""

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
from bisum.config.plain import PLAIN_SCHEMAS
from bisum.config.schema import SCHEMAS
from bisum.config.targets import take_allow_targets
from bisum.errors import UserError, nearest


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """A parsed command line."""

    named: str | None
    """The command, if the line names one."""
    words: list[str]
    """Hydra's words, in which a RUN is `run=RUN`, and FILEs are `files=[FILE,...]`; or a command's own settings."""
    runs: list[str]
    """The runs and folders that the line names, if the command composes nothing."""
    texts: list[str]
    """The words after `--`, unchanged."""
    topics: list[str]
    """Words for `--help` to explain."""
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

    def with_words(self, words: Sequence[str]) -> str:
        """Return a command line to copy, with `words` in place of the settings."""
        folder = ["--config-dir", self.config_dir] if self.config_dir else []
        return shlex.join(["bisum", *filter(None, [self.named]), *folder, *words])


def parse(words: Sequence[str]) -> CommandLine:
    """Parse a command line.

    Raises:
        UserError: an unknown command or option, or a word that is neither.
    """
    words, texts = before_texts(words)
    parser = option_parser()
    options, others = parser.parse_known_args(words)
    if unknown := [word for word in others if word.startswith("-") and word != "-"]:
        flags = [flag for option in OPTIONS for flag in (option.name, option.short) if flag]
        raise UserError(
            f"no option '{unknown[0]}'{nearest(unknown[0], flags)} (settings are key=value; see bisum --help)"
        )
    for flag in NOT_FOR_BISUM:
        if (value := getattr(options, flag.strip("-").replace("-", "_"))) is not None:
            raise UserError(f"{flag} {value}: not for bisum; --config-dir DIR adds your YAML files")
    _refuse_idle_options(options)
    names = [word for word in others if "=" not in word and not word.startswith("~")]
    command = next((name for name in names if name in COMMANDS or not options.help), None)
    if command is not None:
        if command not in COMMANDS:
            _suggest_corpus(command, "train")
            raise UserError(f"no command '{command}'{nearest(command, COMMANDS)} (valid: {', '.join(COMMANDS)})")
        others.remove(command)
    if texts is not None and command != "summarize":
        raise UserError(f"bisum {command or 'train'} takes no texts after '--'; bisum summarize does")
    settings: list[str] = []
    topics: list[str] = []
    subjects: list[str] = []
    for word in take_allow_targets(others):
        if options.help and "=" not in word:
            if not (command and COMMANDS[command].takes and ("/" in word or _exists(word))):
                topics.append(word)
        elif not _is_setting(word, command or "train"):
            subjects.append(word)
        else:
            settings.append(word)
    composes = COMMANDS[command or "train"].composes
    if subjects and composes:
        settings = [*_named(subjects, command or "train", settings), *settings]
    return CommandLine(
        named=command,
        words=settings,
        runs=[] if composes else subjects,
        texts=texts or [],
        topics=topics,
        help=options.help,
        hydra_help=options.hydra_help,
        info=options.info,
        cfg=options.cfg,
        resolve=options.resolve,
        package=options.package,
        config_dir=options.config_dir,
        multirun=options.multirun or (command == "evaluate" and len(subjects) > 1),
    )


def _refuse_idle_options(options: Namespace) -> None:
    """Refuse options that show nothing without another: the words beside them would start a run."""
    if options.cfg is None:
        for name, given in (("--package", options.package is not None), ("--resolve", options.resolve)):
            if given and not options.help:
                raise UserError(f"{name}: needs --cfg job")
    if options.info and options.multirun:
        raise UserError("--info: explains the configuration of one job; leave out -m")
    if options.info and options.cfg:
        raise UserError("--info and --cfg: give one of the two")


def before_texts(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the words before the first `--`, and those after it; None if no word is `--`."""
    words = list(words)
    if "--" not in words:
        return words, None
    end = words.index("--")
    return words[:end], words[end + 1 :]


def known_keys(command: str) -> Collection[str]:
    """Return the top-level keys of a command's configuration."""
    return [field.name for field in fields(PLAIN_SCHEMAS.get(command) or SCHEMAS[command])]


def _is_setting(word: str, command: str) -> bool:
    """Distinguish `key=value` and `~key` from a path or name, which may contain an equals sign."""
    key, equals, _ = word.lstrip("+").partition("=")
    if not COMMANDS[command].takes:
        return bool(equals) or word.startswith("~")
    if "/" in key and not key.lstrip("~").startswith("hydra/"):
        return False
    if word.startswith("~"):
        return word != "~"
    is_known = key.partition(".")[0].partition("@")[0] in {*known_keys(command), "hydra"}
    return bool(equals) and (is_known or not _exists(word))


_LIKE_TEXT = re.compile(r"\s|\.(txt|csv|tsv|parquet|ndjson|jsonl?|gz|bz2|xz|zst|zip)$", re.IGNORECASE)
"""What a text or a file's name has, and a hub name has not."""
_LIKE_TABLE = re.compile(r"\.(csv|tsv|parquet|ndjson|jsonl?)(\.(gz|bz2|xz|zst|zip))?$", re.IGNORECASE)
"""What the name of a file of rows has."""


def _named(subjects: list[str], command: str, settings: Sequence[str]) -> list[str]:
    """Turn the words that name runs or files into settings."""
    if command != "summarize":
        for word in subjects:
            _suggest_corpus(word, command, [other for other in subjects if other != word])
    if not COMMANDS[command].takes:
        raise UserError(f"bisum {command} takes no '{subjects[0]}' (settings are key=value, groups are group=option)")
    files = [word for word in subjects if _is_file(word)] if command == "summarize" else []
    runs = [word for word in subjects if word not in files]
    for key, given in (("run", runs), ("files", files)):
        if given and (again := [word for word in settings if word.lstrip("+").startswith(f"{key}=")]):
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


def _suggest_corpus(word: str, command: str, others: Sequence[str] = ()) -> None:
    """Refuse a file that belongs in a corpus, and say how to name it beside the other words."""
    if _LIKE_TABLE.search(word):
        key = "corpus.test" if command == "evaluate" else "corpus.path"
        given = f"{key}={word}" if re.fullmatch(r"[\w./:-]+", word, re.ASCII) else f"{key}={quoted(word)}"
        raise UserError(
            f"'{word}' is not a {'run' if command == 'evaluate' else 'setting'}; to read rows from a file: "
            + shlex.join(["bisum", command, *others, "corpus=files", given])
        )


def _is_file(word: str) -> bool:
    """Distinguish a FILE from a RUN; a pipe named by the shell (`<(...)`) is a file, and so is a URL."""
    is_url = "://" in word and not word.startswith("pkg://") and not any(map(str.isspace, word))
    return word == "-" or is_url or (_exists(word) and not Path(word).is_dir())


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except OSError:  # a text, too long for a name
        return False
