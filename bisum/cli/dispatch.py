"""Dispatch of a command line. Every job is checked before a heavy library loads.

Modules that only some command lines need are imported on use, so that mistakes are reported sooner.
"""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any

from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from bisum.cli.arguments import CommandLine, before_texts, parse
from bisum.cli.commands import COMMANDS
from bisum.cli.options import option_parser
from bisum.config.composition import Composer
from bisum.config.continuation import resumed_run
from bisum.config.environment import check_environment, refuse_agent_sweep
from bisum.config.hydra_app import group_options
from bisum.config.hydra_node import runs_on_slurm
from bisum.config.jobs import single_job
from bisum.config.messages import explain
from bisum.config.recording import mask_variables
from bisum.config.schema import SummarizeConfig
from bisum.config.targets import allow
from bisum.config.typed_text import typed
from bisum.errors import UserError, complain, without_secrets
from bisum.interfaces.progress import Bar, no_progress
from bisum.printing import uncleaned
from bisum.runs.sweep import is_sweep
from bisum.version import __version__

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from bisum.config.sweep import Sweep

_MANY_JOBS = 20
"""Number of jobs from which their checks show a bar."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit code."""
    before, _ = before_texts(arguments)
    if "--version" in before:
        print(f"bisum {__version__}")
        return 0
    if {"-sc", "--shell-completion"} & set(before):
        from bisum.cli import completion  # only this option needs it

        # The output is clean already; a clean stream would drop the tabs between columns.
        print(completion.answer(arguments), end="", file=uncleaned(sys.stdout))
        return 0
    line = parse(arguments)
    allow("")
    if not COMMANDS[line.command].composes:
        return _run_plain(line, arguments)
    composer = Composer(line.command, line.config_dir)
    if line.help:
        from bisum.cli.help import help_for

        print(mask_variables(without_secrets(help_for(line, composer))))
        return 0
    for file in composer.replaced:
        complain(f"--config-dir: {line.config_dir}/{file} replaces bisum's own {file}")
    if line.hydra_help or line.info:
        return _show_hydra(composer, line)
    return _run_jobs(composer, line)


def _run_plain(line: CommandLine, arguments: Sequence[str]) -> int:
    """Run a command that composes nothing, or show its help."""
    if line.help:
        from bisum.cli.help import plain_command_help

        print(plain_command_help(line.command))
        return 0
    options = {"-m": line.multirun, "--cfg": line.cfg, "--info": line.info, "--config-dir": line.config_dir}
    if refused := next((name for name, given in {**options, "--hydra-help": line.hydra_help}.items() if given), None):
        raise UserError(f"{refused}: not supported by bisum {line.command}; its settings are key=value")
    from bisum.config.plain import plain_options

    settings = plain_options(line.command, line.arguments)
    COMMANDS[line.command].function()(line.runs, settings, shlex.join(["bisum", *arguments]))
    return 0


def _run_jobs(composer: Composer, line: CommandLine) -> int:
    """Check every job of the command line, then run the jobs or show the configuration."""
    if not line.cfg:
        check_environment()
    overrides = composer.parse(line.arguments)
    resumed = resumed_run(overrides)
    if resumed is not None and line.named in (None, "train") and is_sweep(resumed):
        return _resume_sweep(resumed, line)
    if (line.command != "train" or line.multirun) and resumed is not None:
        raise UserError("resume: works only with a single `bisum train`")
    if line.multirun or _chooses_search(overrides):
        if not line.cfg:
            refuse_agent_sweep()
        _refuse_sweep_of_summaries(line)
        from bisum.config.sweep import listed_sweep

        return _run_sweep(
            composer, listed_sweep(composer, overrides, no_progress if line.cfg else _check_progress), line
        )
    job = single_job(composer, overrides)
    if job.composed.hydra.runtime.choices.get("hparams_search") not in (None, "null"):  # chosen by an experiment
        return _run_jobs(composer, replace(line, multirun=True))
    if job.is_sweep and job.resumes is None:
        _refuse_sweep_of_summaries(line)
        key = "sweep.jobs" if job.config.sweep.jobs else "hydra.mode"
        again = line.with_arguments(["-m", *line.arguments])
        raise UserError(f"{key}: this configuration is a sweep; run it with -m: {again}")
    if line.cfg:
        from bisum.cli.show_config import show_job

        show_job(job, line)
        return 0
    if idle := [
        typed(override) for override in overrides if override.key_or_group.partition(".")[0] in ("sweep", "search")
    ]:
        raise UserError(f"'{idle[0]}': has no effect on a single run; add -m for a sweep")
    if runs_on_slurm(job.composed.hydra) and job.resumes is None:
        again = line.with_arguments(["-m", *line.arguments])
        raise UserError(f"hydra/launcher=slurm: submits only sweeps; for a single job, add -m: {again}")
    config = job.config
    if isinstance(config, SummarizeConfig):  # it creates no run directory
        _start(line.command, config.log)(config, line.texts)
        return 0
    from bisum.sweeps.execution import run_single

    return run_single(job, lambda: _start(line.command, config.log))


def _chooses_search(overrides: Sequence[Override]) -> bool:
    """Return whether arguments choose an option of `hparams_search`, which starts a sweep without `-m`."""
    chosen = [override for override in overrides if override.key_or_group == "hparams_search"]
    if chosen and chosen[-1].is_sweep_override():
        raise UserError(f"'{typed(chosen[-1])}': choose one option of hparams_search")
    return bool(chosen) and typed(chosen[-1]) != "hparams_search=null"


def _resume_sweep(directory: str, line: CommandLine) -> int:
    """Run the unfinished jobs of a sweep, from its record."""
    from bisum.config.resumed_sweep import sweep_of_record

    if line.multirun:
        raise UserError(f"'resume={directory}': the sweep's record already lists its jobs; drop -m")
    return _run_sweep(*sweep_of_record(directory, line.config_dir, line.arguments), line)


def _run_sweep(composer: Composer, sweep: Sweep, line: CommandLine) -> int:
    command = composer.command
    if line.cfg:
        from bisum.cli.show_config import show_search, show_sweep

        if sweep.search is not None:
            show_search(sweep.search, line)
        elif not sweep.jobs:
            raise UserError(
                "--cfg: the sweeper chooses its jobs as it runs; to show one job, drop -m and give each key one value"
            )
        else:
            show_sweep(sweep.jobs, sweep.repeated, line)
        return 0
    log = sweep.log
    if sweep.uses_plugin:
        from bisum.sweeps.plugins import run_with_plugins

        return run_with_plugins(composer, composer.parse(line.arguments), sweep, lambda: _start(command, log))
    if runs_on_slurm(sweep.composed.hydra):
        from bisum.sweeps.slurm import run_on_slurm

        return run_on_slurm(sweep, composer.config_dir)
    from bisum.sweeps.running import run_sweep

    return run_sweep(sweep, composer.config_dir, "bisum.cli.job", lambda: _start(command, log))


def _check_progress(title: str, total: int | None = None, done: int = 0) -> AbstractContextManager[Bar]:
    """Show how many jobs of a sweep have been checked, if the checks take seconds."""
    if total is None or total < _MANY_JOBS:
        return no_progress(title, total, done)
    from bisum.display.terminal import Terminal

    return Terminal().progress(title, total, done)


def _refuse_sweep_of_summaries(line: CommandLine) -> None:
    if line.command == "summarize":
        raise UserError("-m: not supported by bisum summarize; it runs one model at a time")


def _start(command: str, log: str) -> Callable[..., Any]:
    from bisum.cli.start import start  # imports rich, which is slow and which --cfg does not need

    return start(command, log)


def _show_hydra(composer: Composer, line: CommandLine) -> int:
    """Let Hydra answer `--hydra-help` and `--info`."""
    import logging

    if line.info:
        composer.compose(composer.parse(line.arguments))  # reports mistakes that Hydra would not explain
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    logging.raiseExceptions = False  # a closed pipe is not an error to log
    try:
        if line.hydra_help:
            hydra.hydra_help(line.command, args_parser=option_parser(for_help=True), args=Namespace(overrides=[]))
        else:
            with redirect_stdout(StringIO()) as output:
                hydra.show_info(
                    str(line.info), config_name=line.command, overrides=line.arguments, run_mode=RunMode.RUN
                )
            print(mask_variables(without_secrets(output.getvalue())), end="")
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, composer.group_names, group_options)) from error
    finally:
        logging.raiseExceptions = True
        root.handlers[:] = handlers  # remove the handlers that Hydra added
        root.setLevel(level)
    return 0
