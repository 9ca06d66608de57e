"""The main program of a process that runs one job of a sweep; `bisum.sweeps.local` starts it."""

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
"""Seconds that a job has to finish its step and save a checkpoint once its sweep's process has ended."""


def main() -> int:
    """Run the job that standard input describes, and return its exit code; the output goes to `train.log`."""
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
        return run_job_of_sweep(job, import_function(handover.command))
    except UserError as error:
        complain(error)
        return 2


def _listen() -> None:
    """Do what the sweep's process asks for through standard input, and stop once that process has ended."""
    while request := os.read(sys.stdin.fileno(), 1):
        if request[0] >= AT_ONCE:
            os.kill(os.getpid(), request[0] - AT_ONCE)
        else:
            stop_once(request[0])
    stop_once(signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(143)  # it hangs, and nobody watches it any more


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
