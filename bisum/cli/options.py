"""The options of the command line, each written once: the parser, help and completion read them here."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import NoReturn

from bisum.errors import UserError


@dataclass(frozen=True)
class Option:
    """An option, as Hydra names it."""

    name: str
    short: str | None
    about: str
    choices: tuple[str, ...] = ()
    """What may follow it."""
    takes_value: bool = False
    default: str | None = None
    """What it means without a value, if it may stand alone."""


OPTIONS = (
    Option("--multirun", "-m", "run a job for each value of key=a,b"),
    Option("--help", "-h", "commands, groups and keys; of a command, group, option or key, what it is"),
    Option("--cfg", "-c", "show the configuration instead of running", ("job", "hydra", "all"), takes_value=True),
    Option("--resolve", None, "with --cfg: interpolations replaced"),
    Option("--package", "-p", "with --cfg: a part of it", takes_value=True),
    Option("--config-dir", "-cd", "add your YAML files, laid out as bisum's own conf/", takes_value=True),
    Option(
        "--info",
        "-i",
        "how Hydra composes it",
        ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        takes_value=True,
        default="all",
    ),
    Option("--hydra-help", None, "Hydra's own help"),
    Option("--version", None, "bisum's version"),
    Option(
        "--shell-completion",
        "-sc",
        'print what makes TAB complete all of this: eval "$(bisum -sc install=bash)" in ~/.bashrc, the same with zsh '
        "in ~/.zshrc; bisum -sc install=fish | source in config.fish",
    ),
)

NOT_FOR_BISUM = ("--config-path", "--config-name", "--experimental-rerun")
"""Options of Hydra's that would replace bisum's configuration."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (bisum --help lists all options)")


def option_parser(*, for_help: bool = False) -> argparse.ArgumentParser:
    """Return the parser of the options; all other words are left over.

    `for_help`: it has what Hydra's own help lists, the settings too, and no options that bisum refuses.
    """
    parser = _Parser(add_help=False, allow_abbrev=True)
    for option in OPTIONS:
        names = [option.name, *filter(None, [option.short])]
        if not option.takes_value:
            parser.add_argument(*names, action="store_true", help=option.about)
        else:
            nargs = "?" if option.default else None
            parser.add_argument(
                *names, nargs=nargs, const=option.default, choices=option.choices or None, help=option.about
            )
    if for_help:
        parser.add_argument("overrides", nargs="*", help="settings, as key=value and group=option")
        return parser
    parser.add_argument("--run", "-r", action="store_true")  # Hydra's, and the default
    parser.add_argument("-cp", dest="config_path")
    parser.add_argument("-cn", dest="config_name")
    for name in NOT_FOR_BISUM:
        parser.add_argument(name)
    return parser
