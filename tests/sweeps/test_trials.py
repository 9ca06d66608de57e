"""The trials and the record of a search, with runs written by the tests instead of trained."""

import json
import math
import os
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bisum.config.composition import Composer
from bisum.config.resumed_sweep import sweep_of_record
from bisum.config.sweep import listed_sweep
from bisum.errors import UserError
from bisum.sweeps.outcome import Outcome
from bisum.sweeps.record import SweepRecord
from bisum.sweeps.reporter import Reporter
from bisum.sweeps.study import Study
from bisum.sweeps.trials import Trials

SEEDS = ["hparams_search=optuna", "hydra.sweeper.params=null", "seed=1,2,3", "search.sampler=grid"]
NUMBERS = ["hparams_search=optuna", "hydra.sweeper.params=null", "trainer.learning_rate=interval(1e-4,1e-2)"]


class Search:
    """A search in a directory, opened by one process."""

    def __init__(self, sweep):
        Path(sweep.directory).mkdir(exist_ok=True)
        self.record = SweepRecord(sweep, None, None)
        self.trials = Trials(sweep, self.record)
        self.trials.reconcile()

    def finish(self, number, **scores):
        """Finish a job's run with scores, by name without `eval/`."""
        folder = self.record.path(number)
        folder.mkdir(parents=True, exist_ok=True)
        entry = self.record.jobs[number]
        config = {**self.record.contents["shared"]["config"], **entry["own"]["config"]}
        run = {
            **{
                "job": "train",
                "status": "finished",
                "config": config,
                "best_metric": "eval/rougeL",
                "profile": "ascii",
            },
            **{"best": {"epoch": 1, **{f"eval/{name}": value for name, value in scores.items()}}, "baseline": {}},
            **{"data": {"fingerprint": "f", "rows": {}}, "test": {"checkpoint": "epoch-1"}},
        }
        (folder / "run.json").write_text(json.dumps(run), "utf-8")
        self.trials.tell(number, "finished")
        self.record.settle(number, Outcome("finished"), run)

    def states(self):
        return [trial.state.name for trial in self.trials.study.trials()]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def begin(*arguments):
        composer = Composer("train")
        return Search(listed_sweep(composer, composer.parse([*arguments, "hydra.sweep.dir=sweep"])))

    return begin


@pytest.fixture
def resumed(tmp_path):
    return lambda *arguments: Search(sweep_of_record("sweep", None, ["resume=sweep", *arguments])[1])


def run_all(search, score=lambda number: float(number)):
    while (number := search.trials.next()) is not None:
        search.finish(number, rougeL=score(number))


def test_grid_has_each_combination_once_for_any_number_of_trials(begun):
    search = begun(*SEEDS, "trainer.epochs=1,2")
    run_all(search)
    found = {(entry["values"]["seed"], entry["values"]["trainer.epochs"]) for entry in search.record.jobs}
    assert found == {(seed, epochs) for seed in (1, 2, 3) for epochs in (1, 2)}
    assert len(search.record.jobs) == 6
    assert search.states() == ["COMPLETE"] * 6
    assert (search.trials.is_over(), search.trials.total) == (True, 6)


def test_another_process_sees_that_all_combinations_are_done(begun, resumed):
    run_all(begun(*SEEDS, "search.sampler=random"))
    other = resumed()
    assert other.trials.is_over()
    assert other.trials.next() is None
    assert other.states().count("COMPLETE") == 3


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_every_sampler_stays_within_the_space(begun, sampler):
    search = begun(*NUMBERS, "trainer.label_smoothing=interval(0,0.5)", f"search.sampler={sampler}", "search.trials=12")
    run_all(search)
    values = [entry["values"] for entry in search.record.jobs]
    assert len(values) == 12
    assert all(1e-4 <= of["trainer.learning_rate"] <= 1e-2 for of in values)
    assert all(0 <= of["trainer.label_smoothing"] <= 0.5 for of in values)
    assert len({of["trainer.learning_rate"] for of in values}) == 12


def test_loss_is_minimized(begun):
    search = begun(*NUMBERS, "search.objective=eval/loss", "search.trials=3")
    for loss in (3.0, 1.0, 2.0):
        search.finish(search.trials.next(), loss=loss)
    (best,) = search.trials.study.best()
    assert (search.trials.name(best), best.value) == ("1", 1.0)


@pytest.mark.parametrize(
    ("pruner", "expected"),
    [
        ("median", "9, the best by evaluation 1, is worse than the median of the finished trials"),
        ("hyperband", "is not among the best of its Hyperband bracket"),
    ],
)
def test_trial_that_falls_behind_is_stopped(begun, pruner, expected):
    search = begun(*NUMBERS, f"search.pruner={pruner}", "search.startup_trials=1", "search.objective=eval/loss")
    options, place = search.trials.search.options, search.trials.place
    pruned = []
    for losses in ([3.0, 2.0, 1.0], [2.5, 4.0, 4.0], [9.0, 8.5, 8.0]):
        number = search.trials.next()
        reporter = Reporter(place, "sweep", search.record.jobs[number]["trial"], options, 3)
        reasons = [reporter.report(at, loss) for at, loss in enumerate(losses, start=1)]
        pruned.append(next(filter(None, reasons), None))
        search.finish(number, loss=min(losses))
    assert pruned[0] is None
    assert pruned[2].endswith(expected)


def test_non_finite_score_is_not_recorded(begun, capfd):
    search = begun(*NUMBERS, "search.trials=2")
    number = search.trials.next()
    reporter = Reporter(search.trials.place, "sweep", 0, search.trials.search.options, 3)
    assert reporter.report(1, math.nan) is None
    search.finish(number, rougeL=None)
    assert search.states() == ["FAIL"]
    assert "job 0: its run has no value for auto; the search counts it as failed" in capfd.readouterr().err


def test_kill_between_the_trial_and_its_record_loses_no_job(begun, resumed, monkeypatch):
    search = begun(*NUMBERS, "search.trials=3")
    for _ in range(2):
        search.finish(search.trials.next(), rougeL=1.0)
    with monkeypatch.context() as patched:
        patched.setattr(SweepRecord, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            search.trials.next()  # the study has the trial and its job, but not the record
    again = resumed()
    assert again.states() == ["COMPLETE", "COMPLETE", "FAIL"]
    run_all(again)
    assert [entry["trial"] for entry in again.record.jobs] == [0, 1, 3]
    assert again.states() == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]


def test_unreported_score_is_reported_when_the_search_is_resumed(begun, resumed, monkeypatch):
    search = begun(*NUMBERS, "search.trials=1")
    number = search.trials.next()
    with monkeypatch.context() as patched:
        patched.setattr(Study, "tell", lambda *_: (_ for _ in ()).throw(UserError("the database is gone")))
        search.finish(number, rougeL=7.0)
    assert search.states() == ["RUNNING"]
    assert resumed().trials.study.best()[0].value == 7.0


@pytest.mark.parametrize("damage", ["removed", "emptied"])
def test_missing_journal_is_restored_from_the_runs(begun, resumed, tmp_path, damage):
    search = begun(*NUMBERS, "search.trials=3")
    run_all(search, lambda number: [2.0, 5.0, 3.0][number])
    before = [trial.params for trial in search.trials.study.trials()]
    path = tmp_path / "sweep/optuna.journal"
    path.unlink() if damage == "removed" else path.write_text("", "utf-8")
    trials = resumed().trials.study.trials()
    assert [(trial.params, trial.value) for trial in trials] == list(zip(before, [2.0, 5.0, 3.0], strict=True))


def test_damaged_journal_is_reported(begun, resumed, tmp_path):
    run_all(begun(*NUMBERS, "search.trials=2"))
    path = tmp_path / "sweep/optuna.journal"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], "garbage", *lines[2:]]) + "\n", "utf-8")
    with pytest.raises(UserError, match="cannot be used: the file is damaged; remove it and resume the search"):
        resumed()


def test_linked_journal_is_refused(begun, tmp_path, call_bisum, one_line):
    run_all(begun(*NUMBERS, "search.trials=1"))
    target = tmp_path / "mine.txt"
    target.write_text("a line\nthe end without one", "utf-8")
    journal = tmp_path / "sweep/optuna.journal"
    journal.unlink()
    journal.symlink_to(target)
    assert "optuna.journal' is a link" in one_line(call_bisum("resume=sweep"))
    assert target.read_text("utf-8").endswith("without one")


def test_storage_from_the_environment_is_found_when_resumed(begun, resumed, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIALS", f"sqlite:///{tmp_path}/trials.db")
    search = begun(*NUMBERS, "search.trials=2", "search.storage=${oc.env:TRIALS}", "search.study=a")
    search.finish(search.trials.next(), rougeL=1.0)
    again = resumed()
    run_all(again)
    assert len(optuna.load_study(study_name="a", storage=os.environ["TRIALS"]).trials) == 2


def test_password_is_in_no_file(begun, tmp_path, monkeypatch):
    monkeypatch.setattr("bisum.sweeps.study.get_storage", lambda _: JournalStorage(JournalFileBackend("j.log")))
    search = begun(*NUMBERS, "search.trials=1", "search.storage=postgresql://me:hunter2@h/db", "search.study=a")
    run_all(search)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_higher_number_of_trials_is_kept(begun, resumed):
    run_all(begun(*NUMBERS, "search.trials=1"))
    assert not resumed("search.trials=3").trials.is_over()
    assert not resumed().trials.is_over()  # as if after a kill


def test_unreachable_database_is_refused_and_leaves_nothing_behind(tmp_path, call_bisum, one_line):
    arguments = ["search.storage=sqlite:////nowhere/x.db", "search.study=a", "hydra.sweep.dir=sweep"]
    line = one_line(call_bisum("hparams_search=optuna", *arguments, "tracker=none"))
    assert "search.storage: 'sqlite:////nowhere/x.db' cannot be used: " in line
    assert not (tmp_path / "sweep").exists()
