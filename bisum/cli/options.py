"""The options of the command line, shared by the parser, help and completion."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import NoReturn

from bisum.errors import UserError


@dataclass(frozen=True)
class Option:
    """An option of the command line, named as in Hydra."""

    name: str
    short: str | None
    about: str
    choices: tuple[str, ...] = ()
    """Accepted values; empty: any."""
    value: str | None = None
    """Placeholder for its value in help; None: the option has no value."""
    default: str | None = None
    """Value if none is given; None: the option requires a value."""


OPTIONS = (
    Option("--multirun", "-m", "run a job for each value of key=a,b"),
    Option("--help", "-h", "show help on bisum, or on a command, group, option or key"),
    Option("--cfg", "-c", "show the configuration instead of running", ("job", "hydra", "all"), value="job"),
    Option("--resolve", None, "with --cfg: resolve interpolations"),
    Option("--package", "-p", "with --cfg: show only this part", value="KEY"),
    Option("--config-dir", "-cd", "add your YAML files, laid out like bisum's conf/", value="DIR"),
    Option(
        "--info",
        "-i",
        "show how Hydra composes the configuration",
        ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        value="[WHAT]",
        default="all",
    ),
    Option("--hydra-help", None, "show Hydra's own help"),
    Option("--version", None, "show bisum's version"),
    Option(
        "--shell-completion",
        "-sc",
        'print a script for TAB completion: put eval "$(bisum -sc install=bash)" in ~/.bashrc, the same with zsh in '
        "~/.zshrc, or bisum -sc install=fish | source in config.fish",
        value="install=SHELL",
    ),
)

NOT_FOR_BISUM = ("--config-path", "--config-name", "--experimental-rerun")
"""Hydra's options that would replace bisum's configuration."""


class _Parser(argparse.ArgumentParser):
    """A parser that reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (bisum --help lists all options)")


def option_parser(*, for_help: bool = False) -> argparse.ArgumentParser:
    """Return the parser of the options; it leaves all other arguments.

    Args:
        for_help: include the settings, which Hydra's help lists, and omit the options that bisum refuses.
    """
    parser = _Parser(add_help=False, allow_abbrev=True)
    for option in OPTIONS:
        names = [option.name, *filter(None, [option.short])]
        if option.value is None:
            parser.add_argument(*names, action="store_true", help=option.about)
        else:
            nargs = "?" if option.default else None
            parser.add_argument(
                *names, nargs=nargs, const=option.default, choices=option.choices or None, help=option.about
            )
    if for_help:
        parser.add_argument("overrides", nargs="*", help="settings, as key=value and group=option")
        return parser
    parser.add_argument("--run", "-r", action="store_true")  # Hydra's option for the default
    parser.add_argument("-cp", dest="config_path")
    parser.add_argument("-cn", dest="config_name")
    for name in NOT_FOR_BISUM:
        parser.add_argument(name)
    return parser
