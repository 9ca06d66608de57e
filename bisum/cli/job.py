"""The main program of a process that runs one job of a sweep; `bisum.sweeps.local` starts it."""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread

from bisum.printing import clean_standard_streams


def main() -> int:
    """Run the job that standard input describes, and return its exit code; the output goes to `train.log`."""
    from bisum.sweeps.local import read_handover

    handover = read_handover()
    os.set_inheritable(handover.claim, False)
    Thread(target=_stop_with_the_sweep, daemon=True).start()
    clean_standard_streams()
    from bisum.cli.start import import_function
    from bisum.config.hydra_app import start_hydra
    from bisum.config.jobs import Job
    from bisum.config.recording import Recorded
    from bisum.config.schema import check
    from bisum.sweeps.execution import run_job_of_sweep

    start_hydra(handover.config_dir)
    recorded = Recorded(**handover.recorded)
    config = check(handover.values, handover.command, recorded, **handover.provenance)
    job = Job(list(config.provenance.overrides), handover.composed, config)
    return run_job_of_sweep(job, import_function(handover.command))


def _stop_with_the_sweep() -> None:
    """End the job once the sweep's process, which holds the other end of standard input, has ended."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
