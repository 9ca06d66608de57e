"""Signals: a closing terminal ends a run like SIGTERM."""

import os
import signal
import sys
import time
from contextlib import suppress

import pexpect
import pytest

from bisum.runs.signals import Interrupted, interrupts


@pytest.mark.parametrize("backend", ["accelerate", "seq2seq_trainer"])
def test_hang_up_saves_a_checkpoint(backend, start, wait_for, small, read, tmp_path, call_bisum):
    run = tmp_path / "run"
    process = start(*small, f"trainer={backend}", "trainer.epochs=20", f"hydra.run.dir={run}")
    wait_for(run, process, 6)
    os.kill(process.pid, signal.SIGHUP)
    os.kill(process.pid, signal.SIGHUP)  # a closing terminal can send it twice
    process.join()
    assert process.exitcode == 129
    ended = read.record(run)
    assert (ended["status"], ended["exit_code"], ended["reason"]) == ("interrupted", 129, "SIGHUP")
    assert len(list((run / "checkpoints").glob("epoch-*"))) == 1
    assert call_bisum(f"resume={run}", "trainer.epochs=1").code == 0


def test_closing_terminal_saves_a_checkpoint(small, read, tmp_path):
    run = tmp_path / "run"
    arguments = ["-m", "bisum", *small, "trainer.epochs=50", f"hydra.run.dir={run}"]
    terminal = pexpect.spawn(sys.executable, arguments, timeout=120)
    while not (run / "metrics.jsonl").exists() or len(read.metrics(run)) < 5:
        assert terminal.isalive()
        time.sleep(0.05)
        with suppress(pexpect.TIMEOUT):
            terminal.read_nonblocking(100_000, timeout=0.1)
    os.close(terminal.child_fd)
    assert os.waitstatus_to_exitcode(os.waitpid(terminal.pid, 0)[1]) == 129
    assert read.record(run)["reason"] == "SIGHUP"
    assert list((run / "checkpoints").glob("epoch-*"))


def test_ignored_hang_up_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_second_signal_ends_the_run_at_once():
    with interrupts() as state:
        state.deferred = True
        os.kill(os.getpid(), signal.SIGHUP)
        assert state.signal == signal.SIGHUP
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(Interrupted) as raised:
            os.kill(os.getpid(), signal.SIGTERM)
        assert raised.value.exit_code == 143
