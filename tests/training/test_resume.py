"""A killed or interrupted run that resumes ends with the numbers of an uninterrupted one."""

import os
import shutil
import signal

import pytest

BACKENDS = ("accelerate", "seq2seq_trainer")
EVERY = ["trainer.log_every=3", "trainer.save_every=4", "trainer.keep_checkpoints=3"]  # losses are summed across saves


def checkpoints(directory):
    return sorted(float(path.name.removeprefix("epoch-")) for path in (directory / "checkpoints").iterdir())


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture(scope="session")
def killed(tmp_path_factory, small, kill_at):
    """Directories of runs killed with -9 in the middle of their second epoch, by backend."""
    runs = {}

    def kill(backend):
        if backend not in runs:
            runs[backend] = tmp_path_factory.mktemp("killed") / "run"
            kill_at(runs[backend], 27, *small, *EVERY, f"trainer={backend}")
        return runs[backend]

    return kill


@pytest.fixture
def copied(killed, tmp_path):
    """A copy of the run killed with the Accelerate loop."""
    return shutil.copytree(killed("accelerate"), tmp_path / "run")


@pytest.mark.parametrize("backend", BACKENDS)
def test_run_killed_in_mid_epoch_resumes_to_the_same_numbers(backend, killed, trained, read, tmp_path, call_bisum):
    directory = shutil.copytree(killed(backend), tmp_path / "run")
    before = read.metrics(directory)
    assert read.record(directory)["status"] == "running"
    assert before[-1]["step"] in range(27, 32)
    assert set(checkpoints(directory)) & {1.5, 1.75}

    whole = trained(f"trainer={backend}", *EVERY)
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(whole)
    resumed, uninterrupted = read.record(directory), read.record(whole)
    assert resumed["status"] == "finished"
    assert resumed["reason"] is None
    for part in ("best", "last", "test", "baseline"):
        assert resumed[part] == uninterrupted[part]
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = (folder / "checkpoints" / "epoch-2" / name for folder in (directory, whole))
        assert one.read_bytes() == other.read_bytes()
    names = {path.name: path.read_bytes() for path in (directory / "predictions").iterdir()}
    assert names == {path.name: path.read_bytes() for path in (whole / "predictions").iterdir()}


def test_run_killed_before_any_checkpoint_starts_over(start, wait_for, small, trained, read, tmp_path, call_bisum):
    directory = tmp_path / "run"
    process = start(*small, "trainer=accelerate", f"hydra.run.dir={directory}")
    wait_for(directory, process, 3)
    os.kill(process.pid, signal.SIGSTOP)
    refused = call_bisum(f"resume={directory}")
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 1
    assert "another process is still working on its run" in refused.err
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (directory / "checkpoints").exists() or not list((directory / "checkpoints").glob("epoch-*"))
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(trained("trainer=accelerate"))


def test_damaged_newest_checkpoint_is_skipped(copied, trained, read, call_bisum):
    newest = max(checkpoints(copied))
    flip(copied / "checkpoints" / f"epoch-{newest:g}" / "model.safetensors")
    done = call_bisum(f"resume={copied}")
    assert done.code == 0
    assert f"epoch-{newest:g} is damaged" in done.out
    assert read.metrics(copied) == read.metrics(trained("trainer=accelerate", *EVERY))


def test_run_with_only_damaged_checkpoints_starts_over(copied, trained, read, call_bisum):
    for folder in (copied / "checkpoints").iterdir():
        (folder / "manifest.json").unlink()
    assert call_bisum(f"resume={copied}").code == 0
    assert read.metrics(copied) == read.metrics(trained("trainer=accelerate", *EVERY))


def test_damaged_best_checkpoint_is_reported(copied, trained, read, call_bisum):
    """The test split is not scored with damaged weights."""
    arguments = [
        "trainer.evaluate_every=3",
        "metric=[chrf]",
        "trainer.best_metric=eval/chrf",
        "trainer.keep_checkpoints=11",
    ]
    best = trained("trainer=accelerate", *arguments)  # the best checkpoint is an early one
    directory = shutil.copytree(best, copied.parent / "best")
    assert read.record(directory)["test"]["checkpoint"] != "epoch-2"
    weights = directory / "checkpoints" / read.record(directory)["test"]["checkpoint"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-40_000] + bytes(40_000))
    done = call_bisum(f"resume={directory}")
    assert "damaged" in done.out + done.err
    assert done.code != 0 or read.metrics(directory) == read.metrics(best)


@pytest.mark.parametrize("cut", [10, 1])
def test_truncated_last_line_is_repaired(cut, copied, trained, read, call_bisum):
    path = copied / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    assert call_bisum(f"resume={copied}").code == 0
    assert read.metrics(copied) == read.metrics(trained("trainer=accelerate", *EVERY))


def test_truncated_first_line_is_repaired(copied, trained, read, call_bisum):
    """As if the run was killed while writing the baseline, its first line."""
    path = copied / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:100])
    shutil.rmtree(copied / "checkpoints")
    assert call_bisum(f"resume={copied}").code == 0
    assert read.metrics(copied) == read.metrics(trained("trainer=accelerate", *EVERY))


@pytest.mark.parametrize(("backend", "number", "code"), [("accelerate", 2, 130), ("seq2seq_trainer", 15, 143)])
def test_signal_ends_a_run_with_a_checkpoint(
    backend, number, code, start, wait_for, small, trained, read, tmp_path, call_bisum
):
    directory = tmp_path / "run"
    process = start(*small, f"trainer={backend}", f"hydra.run.dir={directory}")
    wait_for(directory, process, 6)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == code
    ended = read.record(directory)
    assert (ended["status"], ended["exit_code"], ended["reason"]) == ("interrupted", code, signal.Signals(number).name)
    (epoch,) = checkpoints(directory)
    assert epoch * 16 == read.metrics(directory)[-1]["step"]  # the current step is not lost
    assert f"bisum resume={directory.name}" in (directory / "train.log").read_text("utf-8").replace("\n", "")
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(trained(f"trainer={backend}"))


STOPPING = ["trainer.evaluate_every=4", "metric=[chrf]", "trainer.best_metric=eval/chrf", "trainer.patience=2"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_run_interrupted_in_its_last_evaluation_still_stops_early(
    backend, start, wait_for, small, trained, read, tmp_path, call_bisum
):
    arguments = [f"trainer={backend}", *STOPPING, "evaluation.batch_size=1"]
    whole = trained(*arguments)
    last = read.series(whole, "step")[-1]
    assert last < 32  # it did stop early
    directory = tmp_path / "run"
    process = start(*small, *arguments, f"hydra.run.dir={directory}")
    wait_for(directory, process, last)
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert process.exitcode == 143
    assert len(read.series(directory, "eval/loss")) == len(read.series(whole, "eval/loss")) - 1
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(whole)


def test_patience_survives_a_kill(kill_at, small, trained, read, tmp_path, call_bisum):
    arguments = ["trainer=accelerate", *STOPPING]
    whole = trained(*arguments)
    last = read.series(whole, "step")[-1]
    directory = tmp_path / "run"
    kill_at(directory, last - 2, *small, *arguments)
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(whole)
    assert read.record(directory)["best"] == read.record(whole)["best"]


def test_resuming_a_finished_run_changes_nothing(trained, read, tmp_path, call_bisum):
    whole = trained("trainer=accelerate", *EVERY)
    directory = shutil.copytree(whole, tmp_path / "run")
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(whole)
    assert checkpoints(directory) == checkpoints(whole)


@pytest.mark.parametrize("backend", BACKENDS)
def test_finished_run_resumes_with_more_epochs(backend, trained, read, tmp_path, call_bisum):
    directory = shutil.copytree(trained(f"trainer={backend}"), tmp_path / "run")
    assert call_bisum(f"resume={directory}", "trainer.epochs=3").code == 0
    lines = read.metrics(directory)
    assert [line["step"] for line in lines if "train/loss" in line] == list(range(1, 49))
    assert [line["epoch"] for line in lines if "eval/loss" in line] == [1, 2, 3]
    assert len(read.series(directory, "test/loss")) == 1
    # Linear decay over 48 steps, of which 4.8, rounded up, warm up; step n uses the rate after n - 1 steps.
    rates = [2e-2 * (48 - step) / 43 for step in range(32, 48)]
    assert read.series(directory, "train/learning_rate")[32:] == pytest.approx(rates)


def test_new_learning_rate_is_applied_or_refused(copied, read, call_bisum):
    done = call_bisum(f"resume={copied}", "trainer.learning_rate=1e-3", "trainer.schedule=constant")
    rates = [line["train/learning_rate"] for line in read.metrics(copied) if "train/loss" in line and line["step"] > 28]
    assert done.code == 2 or rates == pytest.approx([1e-3] * len(rates))


LOWEST = ["trainer.evaluate_every=4", "metric=[length]", "trainer.best_metric=eval/at_limit", "trainer.patience=3"]


def test_lowest_value_stays_the_best_after_a_kill(kill_at, small, trained, read, tmp_path, call_bisum):
    arguments = ["trainer=accelerate", *LOWEST]
    whole = trained(*arguments)
    values = read.series(whole, "eval/at_limit")
    assert read.record(whole)["best"]["eval/at_limit"] == min(values) < max(values)
    directory = tmp_path / "run"
    kill_at(directory, 10, *small, *arguments)
    assert call_bisum(f"resume={directory}").code == 0
    assert read.metrics(directory) == read.metrics(whole)
    assert read.record(directory)["best"] == read.record(whole)["best"]


@pytest.mark.parametrize(
    ("arguments", "before", "after"),
    [
        (["trainer.best_metric=eval/loss"], "eval/chrf of {", "eval/loss"),
        (["metric.chrf.beta=3"], "eval/chrf of {", "eval/chrf of {"),
    ],
)
def test_changed_best_metric_is_refused(arguments, before, after, trained, tmp_path, call_bisum):
    """Its values are not comparable with earlier ones, and no earlier checkpoint was selected by it."""
    first = ["trainer=accelerate", "trainer.max_steps=8", "metric=[chrf]", "trainer.best_metric=eval/chrf"]
    directory = shutil.copytree(trained(*first), tmp_path / "run")
    done = call_bisum(f"resume={directory}", *arguments, "trainer.max_steps=16")
    assert done.code == 2
    assert done.err.startswith(f"bisum: resume: trainer.best_metric cannot change from {before}")
    assert f" to {after}" in done.err
    assert done.err.count("\n") == 1


def test_metric_added_on_resume_has_a_baseline(trained, read, tmp_path, call_bisum):
    directory = shutil.copytree(trained("trainer=accelerate", "trainer.max_steps=8"), tmp_path / "run")
    done = call_bisum(f"resume={directory}", "metric=[length]", "trainer.max_steps=16")
    assert done.code == 0, done.err
    baselines = [line for line in read.metrics(directory) if "baseline/rouge1" in line]
    assert ["baseline/words" in line for line in baselines] == [False, True]
    assert "test/at_limit" in read.record(directory)["test"]
