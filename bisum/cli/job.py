"""Main program of the process of one job of a sweep; `bisum.sweeps.local` starts it."""

from __future__ import annotations

import os
import signal
import sys
import time
from threading import Thread

from bisum.errors import UserError, complain
from bisum.printing import clean_standard_streams
from bisum.runs.signals import stop_once
from bisum.sweeps.local import AT_ONCE, read_handover

_GRACE = 300.0
"""Seconds for a job to finish its step and save a checkpoint after its sweep's process has ended."""


def main() -> int:
    """Run the job described on standard input and return its exit code; the output goes to `train.log`."""
    handover = read_handover()
    os.set_inheritable(handover.claim, False)
    Thread(target=_listen, daemon=True).start()
    clean_standard_streams()
    from bisum.cli.start import import_function
    from bisum.config.hydra_app import start_hydra
    from bisum.config.jobs import Job
    from bisum.config.recording import Recorded
    from bisum.config.schema import check
    from bisum.sweeps.execution import run_job_of_sweep

    try:
        start_hydra(handover.config_dir)
        recorded = Recorded(**handover.recorded)
        config = check(handover.values, handover.command, recorded, **handover.provenance)
        job = Job(list(config.provenance.overrides), handover.composed, config)
        folder = ["--config-dir", handover.config_dir] if handover.config_dir else []
        sys.argv[:] = ["bisum", *folder, handover.command, *job.arguments]  # run.json records the command line
        return run_job_of_sweep(job, import_function(handover.command))
    except UserError as error:
        complain(error)
        return 2


def _listen() -> None:
    """Follow the requests of the sweep's process on standard input, and stop when that process ends."""
    while request := os.read(sys.stdin.fileno(), 1):
        if request[0] >= AT_ONCE:
            os.kill(os.getpid(), request[0] - AT_ONCE)
        else:
            stop_once(request[0])
    stop_once(signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(143)  # the job hangs, and the process that would kill it has ended


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
