"""The launcher `local`: the same numbers from jobs that are killed, fail, hang or run out of memory."""

import os
import re
import signal
import sys
import time

import pexpect
import pytest
import torch
from working_sweeps import ROOT, SMALL, entries, is_training, jobs_of, numbers, record, start, statuses, until

from bisum.config.composition import Composer
from bisum.config.sweep import listed_sweep
from bisum.errors import UserError
from bisum.sweeps.machine import Share, threads_of_a_job, visible_gpus


@pytest.fixture(scope="module")
def reference(tmp_path_factory, run_bisum):
    """An uninterrupted sweep of two jobs, each with one thread."""
    folder = tmp_path_factory.mktemp("reference")
    done = run_bisum("-m", *SMALL, *LONGER, "hydra/launcher=basic", "hydra.sweep.dir=sweep", cwd=folder)
    assert done.code == 0, done.err
    return folder / "sweep"


LONGER = ["trainer.epochs=3", "corpus.max_train_rows=160", "corpus.max_eval_rows=10", "seed=1,2"]


def test_sweep_stopped_and_then_killed_computes_the_same(reference, tmp_path, run_bisum):
    sweep = tmp_path / "sweep"
    arguments = ["-m", *SMALL, *LONGER, "hydra.sweep.dir=sweep"]
    process = start(tmp_path, *arguments)
    until(lambda: is_training(sweep, 0))
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    hint = "(training jobs save a checkpoint); press Ctrl-C again to stop at once"
    assert f"> SIGINT: stopping the running job {hint}" in out
    assert "2 jobs: 0 finished, 0 failed, 2 left; resume with: bisum resume=sweep" in out
    assert statuses(sweep) == ["interrupted", "waiting"]
    assert record(sweep, 0)["reason"] == "SIGINT"
    assert list((sweep / "0/checkpoints").glob("epoch-*"))

    process = start(tmp_path, *arguments)
    until(lambda: is_training(sweep, 1))
    os.kill(process.pid, signal.SIGKILL)  # its job notices and stops
    process.communicate()
    assert statuses(sweep) == ["finished", "running"]

    done = run_bisum("resume=sweep", "sweep.parallel=2", cwd=tmp_path, env={"OMP_NUM_THREADS": "2"})
    assert done.code == 0, done.err
    assert statuses(sweep) == ["finished"] * 2
    assert "job 0" not in done.out
    assert re.search(r"^validation, 10 rows .*: rougeL", done.out.partition(" sweep ")[2], re.MULTILINE)
    for job in range(2):
        assert numbers(sweep, job) == numbers(reference, job)
        assert record(sweep, job)["threads"] == 1  # the number the sweep began with, although this process would use 2
    log = (sweep / "0/train.log").read_text("utf-8")
    assert len(re.findall("> continuing from epoch", log)) == 1
    assert log.count("best model ") == 1
    again = run_bisum("resume=sweep", cwd=tmp_path)
    assert again.code == 0
    assert "> 2 jobs in sweep, 2 already finished" in again.out
    assert (sweep / "0/train.log").read_text("utf-8") == log


def test_jobs_save_when_the_signal_also_reaches_them(tmp_path):
    sweep = tmp_path / "sweep"
    process = start(tmp_path, "-m", *SMALL, *LONGER, "trainer.epochs=50", "hydra.sweep.dir=sweep")
    until(lambda: is_training(sweep, 0))
    for pid in [*jobs_of(process), process.pid]:
        os.kill(int(pid), signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 143, out
    assert statuses(sweep) == ["interrupted", "waiting"]
    assert list((sweep / "0/checkpoints").glob("epoch-*"))


STUBBORN = """
import time

import pyarrow as pa


class Stubborn:
    def keep(self, rows, held_out):
        open("busy", "w").close()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                time.sleep(1)
            except BaseException:
                pass
        return pa.array([True] * len(rows))
"""


def test_second_ctrl_c_ends_a_job_that_does_not_stop(tmp_path, write):
    write(tmp_path / "lab/stubborn.py", STUBBORN)
    write(tmp_path / "mine/filter/stubborn.yaml", "stubborn:\n  _target_: stubborn.Stubborn\n")
    arguments = ["--config-dir", "mine", "filter=[stubborn]", "allow_targets=[stubborn]", "hydra.sweep.dir=sweep"]
    env = {"PYTHONPATH": os.pathsep.join([ROOT, str(tmp_path / "lab")])}
    process = start(tmp_path, "baseline", "-m", *arguments, "tracker=none", "seed=1,2", env=env)
    until((tmp_path / "busy").exists)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(2)
    assert process.poll() is None  # still waiting for the job
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)  # like an impatient user
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert "2 jobs: 0 finished, 0 failed, 2 left; resume with: bisum resume=sweep" in out


def test_terminal_shows_the_running_jobs(tmp_path):
    arguments = [
        "baseline",
        "-m",
        "corpus.max_eval_rows=20",
        "tracker=none",
        "evaluation.lead=1,2",
        "hydra.sweep.dir=sweep",
    ]
    terminal = pexpect.spawn(
        sys.executable, ["-m", "bisum", *arguments], cwd=str(tmp_path), timeout=120, dimensions=(30, 90)
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.before.decode()).replace("\r", "\n")
    assert re.search(r"^job +settings +stage +score +time$", shown, re.MULTILINE)
    assert re.search(r"^0 +evaluation\.lead=1 +starting +0:00$", shown, re.MULTILINE)
    assert re.search(r"^2 jobs: 1 waiting, 1 running; 0:0\d so far$", shown, re.MULTILINE)
    assert re.search(r"^2 jobs: 1 running, 1 finished; 0:\d\d so far, about 0:\d\d left$", shown, re.MULTILINE)
    assert re.search(r"^job 0 finished in 0:\d\d$", shown, re.MULTILINE)


def test_two_processes_share_a_sweep(reference, tmp_path):
    arguments = ["-m", *SMALL, *LONGER, "hydra.sweep.dir=sweep"]
    sweep = tmp_path / "sweep"
    first = start(tmp_path, *arguments)
    until(lambda: (sweep / "0/.progress").exists())
    second = start(tmp_path, *arguments)
    outs = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outs
    assert "> 2 jobs in sweep; another process is also working on them" in outs[1]
    started = [re.findall(r"^job (\d): seed", out, re.MULTILINE) for out in outs]
    assert sorted(started[0] + started[1]) == ["0", "1"]
    assert all(started)
    for out in outs:
        assert "validation, 10 rows" in out.partition(" sweep ")[2]
    assert [numbers(sweep, job) for job in range(2)] == [numbers(reference, job) for job in range(2)]


TROUBLE = '''
import os
import resource
import time

import pyarrow as pa


class Trouble:
    """Keeps all rows, or causes the configured trouble."""

    def __init__(self, what: str):
        self.what = what

    def keep(self, rows, held_out):
        if self.what == "fail":
            raise RuntimeError("this one fails")
        if self.what == "hang":
            time.sleep(1000)
        if self.what == "die":
            os.kill(os.getpid(), 9)
        if self.what == "memory":
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))
            bytearray(2**30)
        if self.what == "once" and not os.path.exists("tried"):
            open("tried", "w").close()
            os._exit(7)
        return pa.array([True] * len(rows))
'''


@pytest.fixture
def trouble(tmp_path, write):
    write(tmp_path / "lab/trouble.py", TROUBLE)
    write(tmp_path / "mine/filter/trouble.yaml", "trouble:\n  _target_: trouble.Trouble\n  what: none\n")
    arguments = ["--config-dir", "mine", "filter=[trouble]", "allow_targets=[trouble]", "hydra.sweep.dir=sweep"]
    return ["baseline", "-m", "corpus.max_eval_rows=20", "evaluation.bootstrap_samples=100", "tracker=none", *arguments]


def test_failures_do_not_affect_other_jobs(trouble, tmp_path, run_bisum):
    arguments = ["filter.trouble.what=fail,die,hang,none,memory", "sweep.timeout=0.2", "sweep.parallel=2"]
    env = {"PYTHONPATH": os.pathsep.join([ROOT, str(tmp_path / "lab")])}
    done = run_bisum(*trouble, *arguments, cwd=tmp_path, env=env)
    sweep = tmp_path / "sweep"
    assert done.code == 1
    assert statuses(sweep) == ["failed", "failed", "failed", "finished", "failed"]
    reasons = [record(sweep, job)["reason"] for job in range(5)]
    assert "this one fails" in reasons[0]
    assert reasons[1] == "killed by SIGKILL, possibly because memory ran out"
    assert reasons[2] == "stopped after 0.2 minutes without progress (sweep.timeout)"
    assert "MemoryError" in reasons[4]
    for job in (0, 1, 2, 4):
        assert f"bisum: job {job} failed: {reasons[job]} (log: sweep/{job}/train.log)\n" in done.err
        assert record(sweep, job)["status"] == "failed"
    assert "this one fails" in (sweep / "0/train.log").read_text("utf-8")
    assert "5 jobs: 1 finished, 4 failed, 0 left; resume with: bisum resume=sweep" in done.err
    assert "Traceback" not in done.out + done.err


def test_failed_job_is_retried_and_fail_fast_stops_the_rest(trouble, tmp_path, run_bisum):
    env = {"PYTHONPATH": os.pathsep.join([ROOT, str(tmp_path / "lab")])}
    arguments = ["filter.trouble.what=once,die,none", "sweep.retries=1", "sweep.fail_fast=true"]
    done = run_bisum(*trouble, *arguments, cwd=tmp_path, env=env)
    assert done.code == 1
    assert "; retrying" in done.out
    assert statuses(tmp_path / "sweep") == ["finished", "failed", "waiting"]
    assert [entry["tries"] for entry in entries(tmp_path / "sweep")] == [1, 2, 0]
    done = run_bisum("resume=sweep", "sweep.fail_fast=false", "allow_targets=[trouble]", cwd=tmp_path, env=env)
    assert done.code == 1
    assert statuses(tmp_path / "sweep") == ["finished", "failed", "finished"]


def test_jobs_share_the_machine(monkeypatch):
    monkeypatch.setattr("bisum.sweeps.machine.cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_of_a_job(parallel) for parallel in (1, 2, 3, 16)] == [None, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [threads_of_a_job(parallel) for parallel in (1, 2)] == [3, 3]
    monkeypatch.setenv("OMP_NUM_THREADS", "1000000")
    with pytest.raises(UserError, match=r"OMP_NUM_THREADS='1000000': must be a whole number from 1 to 512"):
        threads_of_a_job(1)
    environment = Share(4, "GPU-5").environment()
    assert [environment[name] for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "CUDA_VISIBLE_DEVICES")] == [
        "4",
        "4",
        "GPU-5",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="for a machine without a GPU")
def test_visible_gpus_come_from_torch(monkeypatch, tmp_path, capfd):
    composer = Composer("train")
    jobs = listed_sweep(composer, composer.parse(["seed=1,2", "tracker=none"])).jobs
    assert visible_gpus(jobs) == []
    (tmp_path / "driver").touch()
    monkeypatch.setattr("bisum.sweeps.machine._DRIVERS", (str(tmp_path / "driver"),))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert visible_gpus(jobs) == []  # torch runs and finds none
    assert capfd.readouterr().err == ""
    monkeypatch.setattr("sys.executable", str(tmp_path / "driver"))
    assert visible_gpus(jobs) == []
    assert "bisum: torch could not count the GPUs (" in capfd.readouterr().err
