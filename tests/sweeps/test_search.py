"""A search: its trials are jobs, pruned by score, and never lost or counted twice, even after a kill."""

import json
import os
import shutil
import signal
import statistics
from collections import Counter

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from working_sweeps import ROOT, SMALL, entries, record, start, until

FEW = [*SMALL, "corpus.max_train_rows=16", "corpus.max_eval_rows=10", "hydra/launcher=basic", "log=quiet"]
SPACE = ["trainer.learning_rate=tag(log,interval(1e-4,1e-1))", "trainer.batch_size=4"]
SEARCH = ["hparams_search=optuna", *FEW, *SPACE, "search.startup_trials=2", "hydra.sweep.dir=sweep"]


def study(sweep):
    storage = JournalStorage(JournalFileBackend(str(sweep / "optuna.journal")))
    return optuna.load_study(study_name=None, storage=storage)


def job_of(trial):
    return int(trial.user_attrs["job"].rpartition("/")[2])


def curve(sweep, job):
    """The recorded scores of a job's evaluations."""
    lines = [json.loads(line) for line in (sweep / f"{job}/metrics.jsonl").read_text("utf-8").splitlines()]
    return [line["eval/rougeL"] for line in lines if "eval/rougeL" in line]


def check_counts(sweep, trials):
    """Check that every job is one closed trial, and that all requested trials have run."""
    jobs, found = entries(sweep), study(sweep).trials
    assert len(jobs) == trials
    assert {entry["status"] for entry in jobs} <= {"finished", "pruned"}
    states = {job_of(trial): trial.state.name for trial in found if trial.state.name != "FAIL"}
    assert states == {n: {"finished": "COMPLETE", "pruned": "PRUNED"}[e["status"]] for n, e in enumerate(jobs)}
    assert len(found) == trials + sum(trial.state.name == "FAIL" for trial in found)
    assert [entry["trial"] for entry in jobs] == [trial.number for trial in found if trial.state.name != "FAIL"]


@pytest.fixture(scope="module")
def finished(run_bisum, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    done = run_bisum(*SEARCH, "search.trials=7", "trainer.epochs=3", cwd=folder)
    assert done.code == 0, done.err
    (folder / "out.txt").write_text(done.out, "utf-8")
    return folder / "sweep"


@pytest.fixture
def sweep(finished, tmp_path):
    """A copy of the finished search."""
    return shutil.copytree(finished, tmp_path / "sweep")


def test_every_trial_is_a_job_with_its_values(finished):
    check_counts(finished, 7)
    for trial in study(finished).trials:
        config = record(finished, job_of(trial))["config"]["trainer"]
        assert trial.params == {f"trainer.{key}": config[key] for key in ("learning_rate", "label_smoothing")}
        if trial.state.name == "COMPLETE":
            assert trial.value == max(curve(finished, job_of(trial)))


def test_trial_below_the_median_of_finished_ones_is_pruned(finished):
    complete = []
    for trial in study(finished).trials:
        scores = curve(finished, job_of(trial))
        assert trial.intermediate_values == dict(enumerate(scores, start=1))
        below = [
            len(complete) >= 2 and max(scores[:n]) < statistics.median(other[n - 1] for other in complete)
            for n in range(1, len(scores) + 1)
        ]
        run = record(finished, job_of(trial))
        if run["status"] == "pruned":
            assert below == [False] * (len(scores) - 1) + [True]
            best = f"eval/rougeL {max(scores):.4g}, the best by evaluation {len(scores)}, is worse than the median"
            assert run["reason"].startswith(best)
            assert "test" not in run
            assert run["exit_code"] == 0
        else:
            assert not any(below[:-1])  # after the last evaluation nothing is left to save
            complete.append(scores)
    assert Counter(entry["status"] for entry in entries(finished))["pruned"] > 0


def test_values_match_plain_optuna(finished):
    """Given the same scores, Optuna draws the same values."""
    alone = optuna.create_study(direction="maximize")
    for trial in study(finished).trials:
        alone.sampler = TPESampler(n_startup_trials=2, seed=(42 * 1_000_003 + trial.number) % 2**32)
        asked = alone.ask()
        asked.suggest_float("trainer.label_smoothing", 0.0, 0.2)
        asked.suggest_float("trainer.learning_rate", 1e-4, 1e-1, log=True)
        assert asked.params == trial.params
        for step, value in trial.intermediate_values.items():
            asked.report(value, step)
        alone.tell(asked, trial.value if trial.state.name == "COMPLETE" else None, state=trial.state)


def test_report_shows_the_best_job_and_its_command(finished, call_bisum):
    out = (finished.parent / "out.txt").read_text("utf-8")
    best = max((trial for trial in study(finished).trials if trial.state.name == "COMPLETE"), key=lambda t: t.value)
    assert f"best job {job_of(best)}: eval/rougeL {best.value:.2f} with trainer.label_smoothing=" in out
    assert "optuna-dashboard sweep/optuna.journal" in out
    (command,) = [line.partition(" bisum ")[2] for line in out.splitlines() if line.startswith("run it again")]
    shown = call_bisum(*command.split(), "--cfg", "job", "--package", "trainer.learning_rate")
    assert float(shown.out) == best.params["trainer.learning_rate"]


def test_finished_search_is_not_repeated_and_can_be_extended(sweep, call_bisum):
    before = [record(sweep, number)["finished"] for number in range(7)]
    assert call_bisum("resume=sweep").code == 0
    assert call_bisum(*SEARCH, "search.trials=7", "trainer.epochs=3").code == 0
    done = call_bisum("resume=sweep", "search.trials=8")
    assert done.code == 0, done.err
    assert [record(sweep, number)["finished"] for number in range(7)] == before
    check_counts(sweep, 8)


def test_trials_of_two_searches_cannot_be_mixed(sweep, call_bisum):
    for arguments, line in (
        (["resume=sweep", "search.sampler=random"], "a resumed sweep keeps the settings of its jobs"),
        (["resume=sweep", "trainer.epochs=4"], "'trainer.epochs=4': a resumed sweep keeps the settings"),
        ([*SEARCH, "search.trials=7", "trainer.epochs=4"], "contains another sweep (a search with another space"),
        (["-m", *FEW, "seed=1,2", "hydra.sweep.dir=sweep"], "contains another sweep (a search)"),
    ):
        done = call_bisum(*arguments)
        assert done.code == 2
        assert line in done.err
        assert done.err.count("\n") == 1


def test_changed_file_ends_a_search(tmp_path, call_bisum):
    (tmp_path / "mine/hparams_search").mkdir(parents=True)
    file = tmp_path / "mine/hparams_search/mine.yaml"
    text = "# @package _global_\ndefaults:\n  - _base@search\nhydra:\n  sweeper:\n    params:\n      seed: 1,2\n"
    file.write_text(text, "utf-8")
    arguments = [*FEW, "trainer.batch_size=4", "hydra.sweep.dir=sweep"]
    done = call_bisum("--config-dir", "mine", "hparams_search=mine", *arguments, "trainer.epochs=1", "search.trials=9")
    assert done.code == 0, done.err
    assert [entry["arguments"][-1] for entry in sorted(entries(tmp_path / "sweep"), key=str)] in (
        ["seed=1", "seed=2"],
        ["seed=2", "seed=1"],
    )  # neither of the two combinations is computed twice
    file.write_text(text.replace("1,2", "1,2,3"), "utf-8")
    done = call_bisum("resume=sweep")
    assert done.code == 2
    assert "its arguments now compose to another space, so new trials would not be comparable" in done.err


def test_two_objectives_have_a_pareto_front(tmp_path, call_bisum):
    objectives = ["search.objective=[eval/rougeL,eval/loss]", "search.pruner=null", "search.trials=3"]
    arguments = [argument for argument in SEARCH if argument != "log=quiet"]
    done = call_bisum(*arguments, *objectives, "trainer.epochs=1")
    assert done.code == 0, done.err
    found = [record(tmp_path / "sweep", number)["best"] for number in range(3)]
    front = [
        number
        for number, run in enumerate(found)
        if not any(
            other != run and other["eval/rougeL"] >= run["eval/rougeL"] and other["eval/loss"] <= run["eval/loss"]
            for other in found
        )
    ]
    assert f"Pareto front: {len(front)} job" in done.out
    assert [job_of(trial) for trial in study(tmp_path / "sweep").best_trials] == front


def test_two_directories_share_a_database(tmp_path, call_bisum):
    arguments = [argument for argument in SEARCH if not argument.startswith("hydra.sweep")]
    arguments += ["search.storage=sqlite:///trials.db", "search.study=a", "trainer.epochs=1"]
    assert call_bisum(*arguments, "search.trials=1", "hydra.sweep.dir=one").code == 0
    done = call_bisum(*arguments, "search.trials=3", "hydra.sweep.dir=two")
    assert done.code == 0, done.err
    assert (len(entries(tmp_path / "one")), len(entries(tmp_path / "two"))) == (1, 2)
    trials = optuna.load_study(study_name="a", storage="sqlite:///trials.db").trials
    assert [trial.user_attrs["directory"] for trial in trials] == [
        str(tmp_path / name) for name in ("one", "two", "two")
    ]
    done = call_bisum(*arguments, "search.trials=3", "hydra.sweep.dir=three", "trainer.epochs=2")
    assert done.code == 2
    assert done.err == "bisum: search.study: 'a' belongs to another search; choose another name\n"


def test_failed_job_runs_again_as_another_trial(tmp_path, call_bisum):
    rows = tmp_path / "rows.csv"
    arguments = [
        *SEARCH,
        "corpus=files",
        "corpus.path=rows.csv",
        "filter=[]",
        "languages=[en]",
        "search.trials=2",
        "trainer.epochs=1",
    ]
    rows.write_text("document,summary\n", "utf-8")
    assert call_bisum(*arguments).code == 1
    assert [trial.state.name for trial in study(tmp_path / "sweep").trials] == ["FAIL", "FAIL"]
    text = "".join(
        f"Reads the file {n} and prints its lines. It has an option.,Prints file {n}.,en\n" for n in range(60)
    )
    rows.write_text(f"document,summary,language\n{text}", "utf-8")
    done = call_bisum("resume=sweep")
    assert done.code == 0, done.err
    found = study(tmp_path / "sweep").trials
    assert [trial.state.name for trial in found] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    assert [trial.params for trial in found[:2]] == [trial.params for trial in found[2:]]
    assert [entry["trial"] for entry in entries(tmp_path / "sweep")] == [2, 3]


def test_killed_search_continues_in_two_processes(tmp_path):
    sweep = tmp_path / "sweep"
    arguments = [*SEARCH, "search.trials=5", "trainer.epochs=2"]
    first = start(tmp_path, *arguments)
    until(lambda: (sweep / "1/metrics.jsonl").exists())
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    with (sweep / "optuna.journal").open("a") as journal:
        journal.write('{"op_code": 4, "wor')  # truncated, as by a power failure
    both = [start(tmp_path, "resume=sweep"), start(tmp_path, *arguments)]
    for process in both:
        out, _ = process.communicate(timeout=200)
        assert process.returncode == 0, out
    check_counts(sweep, 5)


def test_trial_without_a_job_is_closed_and_not_counted(sweep, call_bisum):
    orphan = study(sweep).ask()
    assert call_bisum("resume=sweep").code == 0
    assert study(sweep).trials[orphan.number].state.name == "FAIL"
    assert len(entries(sweep)) == 7


def test_search_without_optuna_is_refused_before_it_begins(tmp_path, run_bisum):
    (tmp_path / "optuna.py").write_text("raise ModuleNotFoundError('no', name='optuna')\n", "utf-8")
    done = run_bisum(*SEARCH, cwd=tmp_path, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.code == 2
    assert done.err == (
        "bisum: hparams_search: a search needs optuna, which is not installed: pip install 'bisum[search]'\n"
    )
    assert not (tmp_path / "sweep").exists()


def test_search_setting_without_a_search_is_refused(call_bisum):
    done = call_bisum("search.trials=3")
    assert (done.code, done.err) == (
        2,
        "bisum: search.trials: only applies to a search; add hparams_search=optuna\n",
    )
