"""From the words of a command line to what they ask for: checked first, then the command's function is called.

Nothing heavy is imported before all of it is checked.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from bisum import __version__, completion
from bisum.checking import allow
from bisum.composition import Composer, literal, quoted
from bisum.config import Config, SummarizeConfig
from bisum.earlier_runs import configured, continue_run, resumed_run
from bisum.errors import Failed, UserError, complain
from bisum.words import COMMANDS, Invocation, before_texts, parse


def run(words: Sequence[str]) -> int:
    """Do what the words ask and return the exit code."""
    before, _ = before_texts(words)
    if "--version" in before:
        print(f"bisum {__version__}")
        return 0
    if {"-sc", "--shell-completion"} & set(before):
        print(completion.answer(words), end="")
        return 0
    invocation = parse(words)
    options, overrides = invocation.options, invocation.overrides
    allow("")
    composer = Composer(invocation.command or "train", options.config_dir)
    if options.help:
        print(_help(composer, invocation))
        return 0
    for file in composer.replaced:
        complain(f"--config-dir: {options.config_dir}/{file} stands in for bisum's own {file}")
    if options.hydra_help or options.info or options.cfg in ("hydra", "all"):
        return _ask_hydra(composer, invocation)
    if (resumed := resumed_run(composer, overrides)) is not None:
        return _resume(composer, invocation, resumed)
    if composer.config_name == "summarize":
        return _summarize(composer, invocation)
    if options.multirun:
        return _sweep(composer, invocation)
    composed = composer.compose(overrides)
    config = configured(composer, composed, overrides)
    if composed.hydra.mode == RunMode.MULTIRUN:
        line = _line(invocation, ["-m", *overrides])
        raise UserError(f"hydra.mode: this is a sweep, which begins with -m: {line}")
    if options.cfg:
        return _show(config, composed, invocation)
    directory = _claim(composed, "hydra.run.dir")
    function = _start(composer.config_name, config.log)
    errors: list[Exception] = []

    def job(composed: DictConfig) -> float | None:
        # Kept for later: Hydra would print lines of its own about an error that it sees.
        try:
            return _run_job(composer, function, composed)
        except (UserError, Failed) as error:
            errors.append(error)
            return None

    composer.hydra.run(composer.config_name, job, [*overrides, directory])
    for error in errors:
        raise error
    return 0


def _run_job(composer: Composer, function: Callable[..., Any], composed: DictConfig) -> float | None:
    """Run a command's function on what Hydra composed for a job."""
    hydra = HydraConfig.get()
    config = configured(composer, composed, list(hydra.overrides.task), hydra)
    score: float | None = function(config, Path(hydra.runtime.output_dir))
    return score


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
    return f"{key}={quoted(str(directory))}"


def _start(command: str, log: str) -> Callable[..., Any]:
    """Import a command's function, which takes seconds: with a sign of life, and without the libraries' warnings."""
    from rich.console import Console

    from bisum.records.screen import Terminal

    logging.captureWarnings(True)
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Threads that spin while they wait make training 10 % faster alone, and four times as slow beside a busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sign: AbstractContextManager[Any]
    if command == "summarize":  # whose standard output is for summaries alone
        sign = Console(stderr=True, quiet=log == "quiet").status("starting")
    else:
        sign = Terminal(bars=log != "quiet").progress("starting")
    with sign:
        return COMMANDS[command].function()


def _summarize(composer: Composer, invocation: Invocation) -> int:
    """Summarize: a filter, which makes no run directory."""
    composed = None if invocation.options.multirun else composer.compose(invocation.overrides)
    if composed is None or composed.hydra.mode == RunMode.MULTIRUN:
        raise UserError("bisum summarize takes no -m: one model writes one stream of summaries")
    config = configured(composer, composed, invocation.overrides)
    assert isinstance(config, SummarizeConfig)
    if invocation.options.cfg:
        return _show(config, composed, invocation)
    config.texts = invocation.texts
    _start("summarize", config.log)(config)
    return 0


def _resume(composer: Composer, invocation: Invocation, run: str) -> int:
    """Continue a run in its own directory, from its own configuration with what the command line names replaced."""
    if composer.config_name != "train" or invocation.options.multirun:
        raise UserError("resume: only a single `bisum train` continues a run")
    config = continue_run(composer, run, invocation.overrides)
    if invocation.options.cfg:
        return _show(config, None, invocation)
    _start("train", config.log)(config, Path(run))
    return 0


def _sweep(composer: Composer, invocation: Invocation) -> int:
    """Check every job, then run them all; a job that fails does not keep the others from running."""
    jobs = composer.jobs(invocation.overrides)
    composed = [composer.compose(words) for words in jobs]
    configs = [configured(composer, job, words) for job, words in zip(composed, jobs, strict=True)]
    if invocation.options.cfg:
        first = jobs[0] if jobs else ["..."]
        mode = ["hydra.mode=RUN"] if composed and composed[0].hydra.mode == RunMode.MULTIRUN else []
        raise UserError(f"--cfg shows one job: {_line(invocation, [*first, *mode, '--cfg', 'job'])}")
    directory = [_claim(composed[0], "hydra.sweep.dir")] if jobs else []
    from bisum.commands import sweep

    function = _start(composer.config_name, configs[0].log if configs else "info")

    def job(composed: DictConfig) -> float | None:
        hydra = HydraConfig.get()
        sweep.announce(hydra.job.num, jobs, hydra.overrides.task)
        try:
            return _run_job(composer, function, composed)
        except (UserError, Failed) as error:
            complain(error)
            return None
        finally:
            sweep.release_memory()

    returns = composer.hydra.multirun(composer.config_name, job, [*invocation.overrides, *directory])
    results = [result for batch in returns or [] for result in batch]
    return sweep.report([(Path(result.hydra_cfg.hydra.runtime.output_dir), result.overrides) for result in results])


def _line(invocation: Invocation, words: Sequence[str]) -> str:
    """Return the command line that has other words in place of its settings."""
    folder = invocation.options.config_dir
    options = ["--config-dir", folder] if folder else []
    return shlex.join(["bisum", *filter(None, [invocation.command]), *options, *words])


def _help(composer: Composer, invocation: Invocation) -> str:
    """Return help on the words of the command line; if there are none, on all there is."""
    from bisum import help as texts

    overrides = [word for word in invocation.overrides if not word.startswith("~")]
    chosen = [name for word in overrides if (name := word.partition("=")[0].lstrip("+")) in composer.groups]
    if topics := [*invocation.topics, *chosen]:
        return "\n\n".join(texts.of_topic(topic, composer, overrides) for topic in dict.fromkeys(topics))
    if invocation.command is not None:
        return texts.of_command(invocation.command, composer, overrides)
    return texts.overview(composer)


def _ask_hydra(composer: Composer, invocation: Invocation) -> int:
    """Hand Hydra the requests that are about Hydra itself."""
    options, hydra, name = invocation.options, composer.hydra, composer.config_name
    if options.hydra_help:
        hydra.hydra_help(config_name=name, args_parser=get_args_parser(), args=options)
    elif options.info:
        hydra.show_info(options.info, config_name=name, overrides=invocation.overrides, run_mode=RunMode.RUN)
    else:
        configured(composer, composer.compose(invocation.overrides), invocation.overrides)
        hydra.show_cfg(name, invocation.overrides, options.cfg, options.package, options.resolve)
    return 0


def _show(config: Config, composed: DictConfig | None, invocation: Invocation) -> int:
    """Print a configuration, or the part under `--package`, as YAML; `composed` is None for a resumed run."""
    options = invocation.options
    if composed is None or getattr(config, "run", None) is not None:
        shown = OmegaConf.create(literal(config.resolved))
    else:
        shown = composed
        with open_dict(shown):
            shown.pop("hydra")
    nothing = object()
    part = shown
    if options.package not in (None, "_global_"):
        part = OmegaConf.select(shown, str(options.package), default=nothing)
    if part is nothing:
        raise UserError(f"--package: no key '{options.package}'")
    text = OmegaConf.to_yaml(part, resolve=options.resolve) if OmegaConf.is_config(part) else f"{part}\n"
    print("null\n" if part is None else text, end="")
    return 0
