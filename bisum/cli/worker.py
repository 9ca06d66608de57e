"""The main program of a process that works on a sweep on a node of a cluster; `bisum.sweeps.slurm_node` starts it."""

from __future__ import annotations

import sys
from pathlib import Path

from bisum.config.composition import Composer
from bisum.config.overrides import quoted
from bisum.config.sweep import resumed_sweep
from bisum.errors import UserError, complain
from bisum.printing import clean_standard_streams
from bisum.runs.sweep import read_sweep
from bisum.sweeps.running import run_worker


def main() -> int:
    """Work on a sweep; the arguments are its directory, the number of a job or "", and a folder of YAML files or ""."""
    clean_standard_streams()
    directory, number, config_dir = sys.argv[1:]
    try:
        record = read_sweep(Path(directory))
        folder = config_dir if Path(config_dir).is_dir() else None
        composer = Composer(record["command"], folder or None)
        overrides = composer.parse([f"resume={quoted(directory)}"])
        sweep = resumed_sweep(composer, directory, record, overrides, checks_jobs=False)
        return run_worker(sweep, folder, "bisum.cli.job", int(number) if number else None)
    except UserError as error:
        complain(error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
