"""The command line: a command word, then Hydra's own words; nothing heavy is imported before all of it is checked.

bisum [COMMAND] [group=option ...] [key=value ...] [-m] [--cfg job] [--config-dir DIR]
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bisum import __version__, completion
from bisum.checking import allow, nearest
from bisum.composition import Composer, checked
from bisum.config import Config
from bisum.errors import Failed, UserError
from bisum.resuming import continue_run, resumed_run


@dataclass(frozen=True)
class Command:
    """A word of the command line and what it stands for."""

    module: str
    summary: str

    def function(self) -> Callable[[Config, Path], float | None]:
        """Import and return the command's function."""
        module = importlib.import_module(self.module)
        function: Callable[[Config, Path], float | None] = module.run
        return function


COMMANDS = {
    "train": Command("bisum.commands.train", "fine-tune, evaluate each epoch, score the test split once at the end"),
    "baseline": Command("bisum.commands.baseline", "score lead-k, the first k sentences of each document; no training"),
    "explore": Command("bisum.commands.explore", "samples, categories, lengths, repeats, what filters drop; plots"),
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
    topics: list[str]
    """Words that are neither, for `--help` to tell about."""
    options: argparse.Namespace


def parse(words: Sequence[str]) -> Invocation:
    """Take the command word and `allow_targets=` off the words and give Hydra's parser the rest.

    Raises:
        UserError: an unknown command or option, or a word that is neither.
    """
    words = list(words)
    command = None
    wants_help = bool({"-h", "--help"} & set(words))
    if words and not words[0].startswith("-") and "=" not in words[0] and not words[0].startswith("~"):
        if words[0] in COMMANDS:
            command = words.pop(0)
        elif not wants_help:
            raise UserError(f"no command '{words[0]}'{nearest(words[0], COMMANDS)} (valid: {', '.join(COMMANDS)})")
    parser = get_args_parser()
    parser.__class__ = _Parser
    options, extra = parser.parse_known_intermixed_args(words)
    if extra:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        raise UserError(f"no option '{extra[0]}'{nearest(extra[0], flags)} (settings are key=value; see bisum --help)")
    for flag in ("config_path", "config_name", "experimental_rerun"):
        if (value := getattr(options, flag, None)) is not None:
            raise UserError(f"--{flag.replace('_', '-')} {value}: not for bisum; --config-dir DIR adds your YAML files")
    overrides: list[str] = []
    topics: list[str] = []
    for word in options.overrides:
        key, equals, value = word.partition("=")
        if not equals and wants_help and command is None and word in COMMANDS:
            command = word
        elif not equals and wants_help:
            topics.append(word)
        elif not equals and not word.startswith("~"):
            raise UserError(
                f"bisum {command or 'train'} takes no '{word}' (settings are key=value, groups are group=option)"
            )
        elif key.lstrip("+") == "allow_targets":
            allow(value)
        else:
            overrides.append(word)
    return Invocation(command, overrides, topics, options)


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input, 130 or 143 interrupted."""
    try:
        code = run(sys.argv[1:] if words is None else words)
    except UserError as error:
        _complain(error)
        code = 2
    except Failed as error:
        _complain(error)
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except OSError as error:
        _complain(error)
        code = 1
    except KeyboardInterrupt:
        print("bisum: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


def _complain(error: Exception) -> None:
    text = "\n".join(f"bisum: {line}" for line in str(error).splitlines())
    print(text.encode(errors="backslashreplace").decode(), file=sys.stderr)


def run(words: Sequence[str]) -> int:
    """Do what the words ask and return the exit code."""
    if "--version" in words:
        print(f"bisum {__version__}")
        return 0
    if {"-sc", "--shell-completion"} & set(words):
        print(completion.answer(words, {name: command.summary for name, command in COMMANDS.items()}), end="")
        return 0
    invocation = parse(words)
    options, overrides = invocation.options, invocation.overrides
    allow("")
    composer = Composer(invocation.command or "train", options.config_dir)
    if options.help:
        print(_help(composer, invocation))
        return 0
    for file in composer.replaced:
        print(f"bisum: --config-dir: {options.config_dir}/{file} stands in for bisum's own {file}", file=sys.stderr)
    if options.hydra_help or options.info or options.cfg in ("hydra", "all"):
        return _ask_hydra(composer, invocation)
    if (resumed := resumed_run(composer, overrides)) is not None:
        return _resume(composer, invocation, resumed)
    if options.multirun:
        return _sweep(composer, invocation)
    composed = composer.compose(overrides)
    config = checked(composed, composer.config_name)
    if options.cfg:
        with open_dict(composed):
            composed.pop("hydra")
        print(_yaml(composed, options.package, options.resolve), end="")
        return 0
    if composed.hydra.mode == RunMode.MULTIRUN:
        raise UserError("hydra.mode: add -m for a sweep")
    directory = _claim(composed, "hydra.run.dir")
    function = _start(composer.config_name, config)
    errors: list[Exception] = []

    def job(composed: DictConfig) -> float | None:
        # Kept for later: Hydra would print lines of its own about an error that it sees.
        try:
            hydra = HydraConfig.get()
            return function(checked(composed, composer.config_name, hydra), Path(hydra.runtime.output_dir))
        except (UserError, Failed) as error:
            errors.append(error)
            return None

    composer.hydra.run(composer.config_name, job, [*overrides, directory])
    for error in errors:
        raise error
    return 0


def _claim(composed: DictConfig, key: str) -> str:
    """Make the directory that `key` names, refusing one where runs have been, before Hydra writes its files there.

    Returns the override that keeps the name: composed anew, it would hold another time.
    """
    from bisum.records.run import claim

    try:
        directory = OmegaConf.select(composed, key, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{key}: {' '.join(str(error).split())}") from error
    claim(Path(directory), key)
    escaped = str(directory).replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def _start(command: str, config: Config) -> Callable[[Config, Path], float | None]:
    """Import a command's function, which takes seconds: with a sign of life, and without the libraries' warnings."""
    from bisum.records.screen import Terminal

    logging.captureWarnings(True)
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with Terminal(bars=config.log != "quiet").progress("starting"):
        return COMMANDS[command].function()


def _resume(composer: Composer, invocation: Invocation, run: str) -> int:
    """Continue a run in its own directory, from its own configuration with what the command line names replaced."""
    if composer.config_name != "train" or invocation.options.multirun:
        raise UserError("resume: only a single `bisum train` continues a run")
    config = continue_run(composer, run, invocation.overrides)
    if invocation.options.cfg:
        print(_yaml(config.resolved, invocation.options.package, invocation.options.resolve), end="")
        return 0
    _start("train", config)(config, Path(run))
    return 0


def _sweep(composer: Composer, invocation: Invocation) -> int:
    """Check every job, then run them all; a job that fails does not keep the others from running."""
    if invocation.options.cfg:
        raise UserError("--cfg shows the configuration of a single run: leave -m out")
    jobs = composer.jobs(invocation.overrides)
    configs = [composer.checked(words) for words in jobs]
    directory = [_claim(composer.compose(jobs[0]), "hydra.sweep.dir")] if jobs else []
    from bisum.commands import sweep

    function = _start(composer.config_name, configs[0] if configs else composer.checked([]))

    def job(composed: DictConfig) -> float | None:
        hydra = HydraConfig.get()
        sweep.announce(hydra.job.num, jobs, hydra.overrides.task)
        try:
            return function(checked(composed, composer.config_name, hydra), Path(hydra.runtime.output_dir))
        except (UserError, Failed) as error:
            _complain(error)
            return None
        finally:
            sweep.release_memory()

    returns = composer.hydra.multirun(composer.config_name, job, [*invocation.overrides, *directory])
    results = [result for batch in returns or [] for result in batch]
    return sweep.report([(Path(result.hydra_cfg.hydra.runtime.output_dir), result.overrides) for result in results])


def _help(composer: Composer, invocation: Invocation) -> str:
    """Return help on the words of the command line; if there are none, on all there is."""
    from bisum import help as texts

    overrides = [word for word in invocation.overrides if not word.startswith("~")]
    chosen = [name for word in overrides if (name := word.partition("=")[0].lstrip("+")) in composer.groups]
    if topics := [*invocation.topics, *chosen]:
        return "\n\n".join(texts.of_topic(topic, composer, overrides) for topic in dict.fromkeys(topics))
    if invocation.command is not None:
        return texts.of_command(invocation.command, composer, COMMANDS[invocation.command].summary, overrides)
    return texts.overview(composer, {name: command.summary for name, command in COMMANDS.items()})


def _ask_hydra(composer: Composer, invocation: Invocation) -> int:
    """Hand Hydra the requests that are about Hydra itself."""
    options, hydra, name = invocation.options, composer.hydra, composer.config_name
    if options.hydra_help:
        hydra.hydra_help(config_name=name, args_parser=get_args_parser(), args=options)
    elif options.info:
        hydra.show_info(options.info, config_name=name, overrides=invocation.overrides, run_mode=RunMode.RUN)
    else:
        composer.checked(invocation.overrides)
        hydra.show_cfg(name, invocation.overrides, options.cfg, options.package, options.resolve)
    return 0


def _yaml(node: Any, package: str | None, resolve: bool) -> str:
    """Return a configuration, or the part under a dotted key, as YAML."""
    config = OmegaConf.create(node) if isinstance(node, dict) else node
    part = config if package in (None, "_global_") else OmegaConf.select(config, str(package))
    if part is None:
        raise UserError(f"--package: no key '{package}'")
    return OmegaConf.to_yaml(part, resolve=resolve) if OmegaConf.is_config(part) else f"{part}\n"
