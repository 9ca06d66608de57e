"""A sweep of twelve jobs, in one process or two, that is killed repeatedly; it takes minutes."""

import random
import re
import time

import pytest
from working_sweeps import SMALL, kill, numbers, record, start, statuses

ARGUMENTS = [*SMALL, "trainer.epochs=3", "corpus.max_train_rows=160", "corpus.max_eval_rows=10"]
JOBS = ["seed=1,2,3", "trainer.learning_rate=1e-2,1e-3", "trainer=accelerate,seq2seq_trainer"]
KILLS = 5


@pytest.fixture(scope="module")
def reference(tmp_path_factory, run_bisum):
    folder = tmp_path_factory.mktemp("reference")
    done = run_bisum("-m", *ARGUMENTS, *JOBS, "hydra/launcher=basic", "hydra.sweep.dir=sweep", cwd=folder, timeout=900)
    assert done.code == 0, done.err
    return folder / "sweep"


def check(sweep, reference, table):
    assert statuses(sweep) == ["finished"] * 12
    for job in range(12):
        assert numbers(sweep, job) == numbers(reference, job)
        log = (sweep / f"{job}/train.log").read_text("utf-8")
        assert len(re.findall(r"best model  ", log)) == 1  # no training ran twice
        assert record(sweep, job)["status"] == "finished"
    assert "validation, 10 rows" in table.partition(" sweep ")[2]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_sweep_killed_five_times_equals_an_uninterrupted_one(reference, tmp_path, run_bisum, processes):
    chance = random.Random(processes)
    sweep = tmp_path / "sweep"
    arguments = ["-m", *ARGUMENTS, *JOBS, "hydra.sweep.dir=sweep", f"sweep.parallel={3 - processes}"]
    for number in range(KILLS):
        again = arguments if number % 2 == 0 or not (sweep / "sweep.json").exists() else ["resume=sweep"]
        working = [start(tmp_path, *again) for _ in range(processes)]
        time.sleep(chance.uniform(3, 25))
        for process in working:
            if process.poll() is None:
                kill(process, jobs=number % 2 == 1)
            else:
                process.communicate()
    working = [start(tmp_path, "resume=sweep") for _ in range(processes)]
    outs = [process.communicate(timeout=900)[0] for process in working]
    assert [process.returncode for process in working] == [0] * processes, outs
    for out in outs:
        check(sweep, reference, out)
