"""Main program of a process that works on a sweep on a cluster node; `bisum.sweeps.slurm_node` starts it."""

from __future__ import annotations

import sys

from bisum.config.overrides import quoted
from bisum.config.resumed_sweep import sweep_of_record
from bisum.errors import UserError, complain
from bisum.printing import clean_standard_streams


def main() -> int:
    """Work on a sweep and return the exit code; `bisum.sweeps.slurm_node` passes the arguments."""
    clean_standard_streams()
    directory, number, config_dir, *arguments = sys.argv[1:]
    try:
        arguments = [f"resume={quoted(directory)}", *arguments]
        composer, sweep = sweep_of_record(directory, config_dir or None, arguments, checks_jobs=False)
        from bisum.sweeps.running import run_worker

        return run_worker(sweep, composer.config_dir, "bisum.cli.job", int(number) if number else None)
    except UserError as error:
        complain(error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
