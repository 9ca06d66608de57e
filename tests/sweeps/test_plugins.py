"""Sweeps with plugins: a launcher receives checked jobs, a sweeper chooses its own, and bisum reports all."""

import json
import os
import re
from functools import partial
from pathlib import Path

import pytest
import yaml
from working_sweeps import SMALL, numbers, record

import bisum

PLUGINS = '''
from pathlib import Path

from hydra.core.utils import run_job
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import open_dict


class Backwards(Launcher):
    """Runs the last job first."""

    def __init__(self, workers: float = 1):  # annotations are not enforced
        pass

    def setup(self, *, hydra_context, task_function, config):
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides, initial_job_idx):
        returned = []
        for number, arguments in reversed(list(enumerate(job_overrides, initial_job_idx))):
            config = self.context.config_loader.load_sweep_config(self.config, list(arguments))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(number), number
            returned.append(
                run_job(
                    hydra_context=self.context,
                    task_function=self.task,
                    config=config,
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
            )
        return returned


class Bisection(Sweeper):
    """Chooses each lead by the score of the previous one; returns nothing, like Optuna's sweeper."""

    def __init__(self, trials: int = 2):
        self.trials = trials

    def setup(self, *, hydra_context, task_function, config):
        from hydra.core.plugins import Plugins

        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        lead = 4
        for number in range(self.trials):
            (job,) = self.launcher.launch([[f"evaluation.lead={lead}", *arguments]], initial_job_idx=number)
            lead = 1 if job.return_value is None or job.return_value >= 0 else 2
'''
ARGUMENTS = [
    "corpus.max_train_rows=8",
    "corpus.max_eval_rows=4",
    "evaluation.bootstrap_samples=100",
    "tracker=none",
    "hydra.sweep.dir=a sweep",
]


@pytest.fixture
def lab(tmp_path):
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins/lab.py").write_text(PLUGINS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run_bisum(run_bisum, lab):
    """`run_bisum` with the plugins on the Python path; plugins in the current folder are not trusted."""
    path = os.pathsep.join([str(Path(bisum.__file__).parents[1]), str(lab)])
    return partial(run_bisum, env={"PYTHONPATH": path})


@pytest.fixture
def launched(lab):
    return [*ARGUMENTS, "hydra.launcher._target_=hydra_plugins.lab.Backwards", "+hydra.launcher.workers=two"]


def leads(folder):
    records = [json.loads((folder / f"{job}/run.json").read_text("utf-8")) for job in range(2)]
    return [record["config"]["evaluation"]["lead"] for record in records]


def ranked(out):
    """The systems in the table at the end of a sweep."""
    return re.findall(r"^\d +(lead-\d)", out.partition(" sweep ")[2], re.MULTILINE)


def test_launcher_runs_the_listed_jobs(run_bisum, launched, lab):
    arguments = [*launched, "experiment=null", "corpus.language_temperature=2"]
    done = run_bisum("baseline", "-m", *arguments, "evaluation.lead=1,2", "seed=${hydra.job.num}", cwd=lab)
    assert done.code == 0, done.err
    assert leads(lab / "a sweep") == [1, 2]
    assert done.out.index("job 1 of 2: evaluation.lead=2") < done.out.index("job 0 of 2: evaluation.lead=1")
    assert sorted(ranked(done.out)) == ["lead-1", "lead-2"]


def test_all_jobs_of_a_launcher_are_checked_before_the_first_starts(run_bisum, launched, lab):
    done = run_bisum("baseline", "-m", *launched, "evaluation.lead=1,x", cwd=lab)
    assert (done.code, done.err) == (2, "bisum: evaluation.lead: expected a whole number >= 1, not 'x'\n")
    assert not (lab / "a sweep").exists()


def test_sweeper_chooses_its_jobs(run_bisum, lab):
    (lab / "own/hydra/sweeper").mkdir(parents=True)
    (lab / "own/hydra/sweeper/bisection.yaml").write_text("_target_: hydra_plugins.lab.Bisection\n", encoding="utf-8")
    done = run_bisum("baseline", "-m", "--config-dir", "own", *ARGUMENTS, "hydra/sweeper=bisection", cwd=lab)
    assert done.code == 0, done.err
    assert leads(lab / "a sweep") == [4, 1]
    assert "job 1: evaluation.lead=1" in done.out
    assert sorted(ranked(done.out)) == ["lead-1", "lead-4"]
    shown = run_bisum("baseline", "-m", "--config-dir", "own", "hydra/sweeper=bisection", "--cfg", "job", cwd=lab)
    assert shown.err == (
        "bisum: --cfg: the sweeper chooses its jobs as it runs; to show one job, drop -m and give each key one value\n"
    )


def test_class_outside_hydras_plugins_is_refused(run_bisum, lab):
    done = run_bisum(
        "-m", "seed=1,2", "hydra.launcher._target_=bisum.corpus.sample.Sample", "allow_targets=[bisum]", cwd=lab
    )
    assert done.err == "bisum: hydra.launcher._target_: must be a class in the package hydra_plugins\n"


@pytest.mark.parametrize("shown", ["job", "hydra", "all"])
def test_sweep_with_a_plugin_is_shown(run_bisum, launched, lab, shown):
    done = run_bisum("baseline", "-m", *launched, "evaluation.lead=1,2", "--cfg", shown, cwd=lab)
    assert (done.code, done.err) == (0, "")
    first, second = yaml.safe_load_all(done.out)
    assert shown == "hydra" or (first["evaluation"]["lead"], second["evaluation"]) == (1, {"lead": 2})


def test_unknown_key_of_a_plugin_is_refused(run_bisum, lab):
    done = run_bisum(
        "-m", *ARGUMENTS, "hydra.launcher._target_=hydra_plugins.lab.Backwards", "+hydra.launcher.worker=2", cwd=lab
    )
    assert (done.code, done.err) == (
        2,
        "bisum: hydra.launcher.worker: no such key, did you mean 'workers'? (valid: workers)\n",
    )


TROUBLE = '''
import os
import time
from pathlib import Path

import pyarrow as pa


class Trouble:
    """Keeps all rows, or causes the configured trouble."""

    def __init__(self, what: str):
        self.what = what

    def keep(self, rows, held_out):
        if self.what == "fail":
            raise RuntimeError("this one fails")
        if self.what == "die":
            other = Path("a sweep/0/run.json")
            while not other.exists() or '"status": "finished"' not in other.read_text("utf-8"):
                time.sleep(0.1)
            os.kill(os.getpid(), 9)
        return pa.array([True] * len(rows))
'''


@pytest.fixture
def joblib(lab, write):
    """Arguments for jobs in two processes of joblib; `filter.trouble.what` sets the trouble."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="hydra-joblib-launcher is not installed")
    write(lab / "trouble.py", TROUBLE)
    write(lab / "own/filter/trouble.yaml", "trouble:\n  _target_: trouble.Trouble\n  what: none\n")
    trouble = ["--config-dir", "own", "filter=[trouble]", "allow_targets=[trouble]"]
    return [*ARGUMENTS, *trouble, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def test_joblib_computes_the_same_as_one_process(run_bisum, joblib, lab):
    arguments = [*SMALL, "trainer.epochs=1", "corpus.max_train_rows=16", "corpus.max_eval_rows=10", "seed=1,2"]
    done = [
        run_bisum("-m", *arguments, f"hydra/launcher={launcher}", f"hydra.sweep.dir={launcher}", cwd=lab)
        for launcher in ("joblib", "basic")
    ]
    assert [each.code for each in done] == [0, 0], done
    assert "job 1 of 2: seed=2" in done[0].out
    assert re.search(r"^validation, 10 rows .*: rougeL", done[0].out, re.MULTILINE)
    for job in range(2):
        assert numbers(lab / "joblib", job) == numbers(lab / "basic", job)


def test_failing_job_of_joblib_does_not_end_the_others(run_bisum, joblib, lab):
    done = run_bisum("baseline", "-m", *joblib, "filter.trouble.what=fail,none", cwd=lab)
    assert done.code == 1
    assert "RuntimeError: this one fails" in done.err
    assert "Traceback" not in done.err
    assert [record(lab / "a sweep", job)["status"] for job in range(2)] == ["failed", "finished"]
    assert re.search(r"^a sweep/0 +failed +filter.trouble", done.out, re.MULTILINE)


def test_finished_jobs_are_reported_when_a_process_of_joblib_is_killed(run_bisum, joblib, lab):
    done = run_bisum("baseline", "-m", *joblib, "filter.trouble.what=none,die", cwd=lab)
    assert done.code == 1
    assert done.err.startswith("bisum: hydra/launcher: TerminatedWorkerError: A worker process")
    assert "SIGKILL" in done.err
    assert len(ranked(done.out)) == 1
    assert re.search(r"^a sweep/1 +killed", done.out, re.MULTILINE)
