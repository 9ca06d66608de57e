"""A sweep on a real Slurm of one node: preempted, cancelled and refused jobs; submitted now, collected later."""

import json
import sys
import time
from pathlib import Path

import pytest
from working_sweeps import SMALL, entries, is_training, numbers, record, start, statuses, until

TRAINING = [*SMALL, "corpus.max_train_rows=160", "corpus.max_eval_rows=10", "trainer.save_every=10"]
ON_SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.sweep.dir=sweep"]
QUICK = [*SMALL, "corpus.max_train_rows=16", "corpus.max_eval_rows=10", "trainer.epochs=1"]


@pytest.fixture
def on_slurm(slurm, run_bisum, tmp_path):
    """Run a command line with Slurm, and finally cancel its remaining jobs."""

    def run(*arguments, env=None):
        return run_bisum(*arguments, cwd=tmp_path, env={**slurm.env, **(env or {})})

    yield run
    for id_ in submissions(tmp_path / "sweep") if (tmp_path / "sweep/sweep.json").exists() else ():
        slurm.run("scancel", id_.partition("_")[0], check=False)


def submissions(sweep):
    return [entry["id"] for entry in json.loads((sweep / "sweep.json").read_text("utf-8"))["slurm"]]


def test_preempted_job_is_requeued_and_computes_the_same(slurm, on_slurm, run_bisum, tmp_path):
    arguments = ["-m", "seed=1,2", *TRAINING, "trainer.epochs=4"]
    done = on_slurm(*arguments, *ON_SLURM, "sweep.wait=false")
    assert (done.code, done.err) == (0, "")
    assert "> submitted 2 jobs, 2 at once, to Slurm as " in done.out
    assert done.out.endswith("> collect the results with: bisum resume=sweep\n")
    sweep = tmp_path / "sweep"
    ids = submissions(sweep)
    until(lambda: is_training(sweep, 0))
    raw = dict(line.split() for line in slurm.run("squeue", "--array", "--noheader", "--format=%i %A").splitlines())
    slurm.run("scancel", "--signal=USR2", raw[ids[0]])  # with the array's id, scancel of Slurm 22.05 can wait
    until(lambda: slurm.states().get(ids[0]) == "PENDING", seconds=30)
    shown = on_slurm("resume=sweep", "sweep.wait=false")
    assert shown.code == 0
    assert "job 0: " in shown.out or " sweep " in shown.out

    done = on_slurm("resume=sweep", "sweep.wait=true")
    assert done.code == 0, done.err
    assert " sweep " in done.out
    assert submissions(sweep) == ids  # nothing was submitted twice
    assert statuses(sweep) == ["finished"] * 2
    assert "> continuing from epoch-" in (sweep / "0/train.log").read_text("utf-8")
    alone = run_bisum(
        *arguments, "hydra/launcher=basic", "hydra.sweep.dir=alone", cwd=tmp_path, env={"OMP_NUM_THREADS": "1"}
    )
    assert alone.code == 0, alone.err
    for job in range(2):
        assert numbers(sweep, job) == numbers(tmp_path / "alone", job)
        assert record(sweep, job)["threads"] == 1


def test_cancelled_job_is_reported_with_its_slurm_state_and_submitted_again(slurm, on_slurm, tmp_path):
    sweep = tmp_path / "sweep"
    waiting = start(tmp_path, "-m", "seed=1,2", *QUICK, *ON_SLURM, "hydra.launcher.cpus=2", env=slurm.env)
    until(lambda: (sweep / "sweep.json").exists() and len(submissions(sweep)) == 2)
    second = submissions(sweep)[1]
    slurm.run("scontrol", "hold", second, check=False)
    until(lambda: statuses(sweep)[0] == "finished")
    slurm.run("scancel", second)
    out, _ = waiting.communicate(timeout=100)
    assert waiting.returncode == 1
    assert f"job 1 failed: Slurm job {second} ended before it could record a reason" in out
    assert "2 jobs: 1 finished, 1 failed, 0 left; resume with: bisum resume=sweep" in out
    done = on_slurm("resume=sweep", "hydra.launcher.memory=2")
    assert done.code == 0, done.err
    scripts = sorted((sweep / "slurm").glob("*_submission.sh"), key=lambda path: path.stat().st_mtime)
    assert "#SBATCH --mem=2048MB" in scripts[-1].read_text("utf-8")
    assert [id_.partition("_")[0] for id_ in submissions(sweep)].count(second.partition("_")[0]) == 2
    assert len(submissions(sweep)) == 3
    assert statuses(sweep) == ["finished"] * 2


def test_workers_share_the_trials_of_a_search(on_slurm, tmp_path):
    arguments = ["hparams_search=optuna", *QUICK, "trainer.batch_size=4", "search.trials=4", "sweep.parallel=2"]
    done = on_slurm(*arguments, *ON_SLURM)
    assert done.code == 0, done.err
    assert "> submitted 2 workers, 2 at once, to Slurm as " in done.out
    assert sorted(entry["trial"] for entry in entries(tmp_path / "sweep")) == [0, 1, 2, 3]
    assert "best job" in done.out


def test_failed_job_fails_the_sweep(on_slurm, tmp_path):
    done = on_slurm("-m", "seed=1,2", *QUICK, "corpus=files", "corpus.path=missing.csv", *ON_SLURM)
    assert done.code == 1
    assert done.err.count("failed: corpus.path: file missing.csv does not exist") == 2
    assert "Traceback" not in done.err
    assert [entry["final"] for entry in entries(tmp_path / "sweep")] == [True, True]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["hydra.launcher.partition=gpuu"],
            ": Slurm rejected the jobs: invalid partition specified: gpuu",
        ),
        (["hydra.launcher.constraint=a100"], ": Slurm rejected the jobs: Invalid feature specification"),
        (["hardware=gpu"], ".gpus: hardware=gpu needs a GPU; add hydra.launcher.gpus=1"),
    ],
)
def test_jobs_that_cannot_be_submitted_are_refused_in_one_line(arguments, line, on_slurm):
    done = on_slurm("-m", "seed=1,2", *QUICK, *ON_SLURM, *arguments)
    assert (done.code, done.err) == (2, f"bisum: hydra.launcher{line}\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["hydra.launcher.time=soon"], "hydra.launcher.time: expected a whole number >= 1, not 'soon'"),
        (["hydra.launcher.tim=3"], "hydra.launcher.tim: no such key of this launcher, did you mean 'time'?"),
        (["hydra.launcher.gpus=-1"], "hydra.launcher.gpus: expected a whole number >= 0, not -1"),
        (["hydra.launcher.account='a b'"], "hydra.launcher.account: expected a name without spaces or quotes, not"),
    ],
)
def test_wrong_setting_is_refused_without_slurm(arguments, line, call_bisum, one_line):
    assert line in one_line(call_bisum("-m", "seed=1,2", *QUICK, *ON_SLURM, *arguments))


def test_user_file_cannot_add_lines_to_the_script(call_bisum, one_line, write, tmp_path):
    lines = ["x'\\\"' #", "touch pwned #"]
    value = json.dumps("\n".join(lines))
    write(tmp_path / "mine/experiment/e.yaml", f"# @package _global_\nhydra:\n  launcher:\n    account: {value}\n")
    line = one_line(call_bisum("-m", "--config-dir", "mine", "experiment=e", "seed=1", *ON_SLURM))
    assert "hydra.launcher.account: expected a name without spaces or quotes" in line


def test_single_run_is_not_submitted(call_bisum, one_line):
    line = one_line(call_bisum("seed=1", *QUICK, "hydra/launcher=slurm"))
    assert "hydra/launcher=slurm: submits only sweeps; for a single job, add -m: bisum -m seed=1" in line


def test_without_slurm_nothing_is_submitted(tmp_path, run_bisum):
    done = run_bisum("-m", "seed=1,2", *QUICK, *ON_SLURM, cwd=tmp_path, env={"PATH": str(Path(sys.executable).parent)})
    assert done.code == 2
    assert done.err.startswith("bisum: hydra/launcher=slurm: sbatch is missing; run this on a machine that submits")
    assert not (tmp_path / "sweep").exists()


def test_other_launchers_always_wait_for_their_jobs(call_bisum, one_line):
    line = one_line(call_bisum("-m", "seed=1,2", *QUICK, "sweep.wait=false"))
    assert "sweep.wait=false: works only with hydra/launcher=slurm; remove it" in line


@pytest.mark.slow
def test_job_outlasts_its_time_limit(on_slurm, tmp_path):
    limit = ["hydra.launcher.partition=short", "hydra.launcher.time=1", "hydra.launcher.signal_delay=30"]
    began = time.monotonic()
    done = on_slurm("-m", "seed=1", *TRAINING, "trainer.epochs=100", *ON_SLURM, *limit)
    assert done.code == 0, done.err
    assert time.monotonic() - began > 60
    assert "> continuing from epoch-" in (tmp_path / "sweep/0/train.log").read_text("utf-8")
