"""From a command line to what it asks for: everything is checked before anything heavy is imported."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from bisum.cli.arguments import CommandLine, before_texts, parse
from bisum.cli.commands import COMMANDS
from bisum.cli.options import option_parser
from bisum.config.composition import Composer
from bisum.config.earlier_run import resumed_run
from bisum.config.jobs import Job, single_job, sweep_jobs
from bisum.config.schema import SummarizeConfig
from bisum.config.targets import allow
from bisum.errors import UserError, complain
from bisum.version import __version__


def run(words: Sequence[str]) -> int:
    """Do what the words ask and return the exit code."""
    before, _ = before_texts(words)
    if "--version" in before:
        print(f"bisum {__version__}")
        return 0
    if {"-sc", "--shell-completion"} & set(before):
        from bisum.cli import completion  # here, since no other command line needs it

        print(completion.answer(words), end="")
        return 0
    line = parse(words)
    allow("")
    composer = Composer(line.command, line.config_dir)
    if line.help:
        from bisum.cli.help import help_on

        print(help_on(line, composer))
        return 0
    for file in composer.replaced:
        complain(f"--config-dir: {line.config_dir}/{file} stands in for bisum's own {file}")
    if line.hydra_help or line.info:
        return _ask_hydra(line)
    return _run_jobs(composer, line)


def _run_jobs(composer: Composer, line: CommandLine) -> int:
    """Check every job of the command line, then run them, or show what they would be."""
    overrides = composer.parse(line.words)
    _refuse_what_is_no_sweep(line, overrides)
    jobs = sweep_jobs(composer, overrides) if line.multirun else [single_job(composer, overrides)]
    if jobs is None:
        from bisum.sweeps.plugins import run_with_plugins

        return run_with_plugins(composer, overrides, lambda: _start(line.command, "info"))
    if not line.multirun and jobs[0].is_sweep and jobs[0].resumes is None:
        raise UserError(_as_sweep(line))
    if line.cfg:
        return _show(jobs, line)
    config = jobs[0].config
    if isinstance(config, SummarizeConfig):  # a filter, which makes no run directory
        _start(line.command, config.log)(config, line.texts)
        return 0
    from bisum.sweeps.execution import run_single, run_sweep

    execute = run_sweep if line.multirun else run_single
    return execute(jobs, lambda: _start(line.command, config.log))


def _refuse_what_is_no_sweep(line: CommandLine, overrides: Sequence[Any]) -> None:
    if line.command == "summarize" and line.multirun:
        raise UserError("bisum summarize takes no -m: one model writes one stream of summaries")
    if (line.command != "train" or line.multirun) and resumed_run(overrides) is not None:
        raise UserError("resume: only a single `bisum train` continues a run")


def _as_sweep(line: CommandLine) -> str:
    if line.command == "summarize":
        return "bisum summarize takes no -m: one model writes one stream of summaries"
    return f"hydra.mode: this is a sweep, which begins with -m: {line.with_words(['-m', *line.words])}"


def _start(command: str, log: str) -> Callable[..., Any]:
    """Import a command's function, which takes seconds: with a sign of life, and without the libraries' warnings."""
    import gc
    import logging

    from rich.console import Console

    from bisum.display.terminal import Terminal

    gc.enable()
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


def _ask_hydra(line: CommandLine) -> int:
    """Hand Hydra the requests that are about Hydra itself."""
    import logging

    logging.raiseExceptions = False  # a reader that goes away is no error of the log's
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    if line.hydra_help:
        hydra.hydra_help(line.command, args_parser=option_parser(for_help=True), args=Namespace(overrides=[]))
    elif line.info:
        hydra.show_info(line.info, config_name=line.command, overrides=line.words, run_mode=RunMode.RUN)
    return 0


def _show(jobs: Sequence[Job], line: CommandLine) -> int:
    """Print a job's configuration, or the part under `--package`, as YAML."""
    if line.multirun:
        words = jobs[0].words if jobs else ["..."]
        mode = ["hydra.mode=RUN"] if jobs and jobs[0].is_sweep else []
        raise UserError(f"--cfg shows one job: {line.with_words([*words, *mode, '--cfg', 'job'])}")
    composed = jobs[0].composed
    shown: Any = jobs[0].shown if line.cfg == "job" else composed
    if line.cfg == "hydra":
        shown = OmegaConf.create({"hydra": composed.hydra})
    if line.package not in (None, "_global_"):
        nothing = object()
        shown = OmegaConf.select(shown, str(line.package), default=nothing)
        if shown is nothing:
            raise UserError(f"--package: no key '{line.package}'")
    text = OmegaConf.to_yaml(shown, resolve=line.resolve) if OmegaConf.is_config(shown) else f"{shown}\n"
    print("null\n" if shown is None else text, end="")
    return 0
