"""Uploads of a run while it trains, to a stand-in for the hub with the real client."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bisum

LOGIN = {"HF_TOKEN": "hf_of_me"}
PUSH = ["hub.push=true", "hub.repo_id=titles", "tracker=none"]


@pytest.fixture
def train(run_bisum, small, hub_environment, tmp_path):
    """Train in a separate process, logged in, and return how it finished."""

    def run(*arguments: str, env: dict[str, str] = LOGIN):
        return run_bisum(*small, *PUSH, "hydra.run.dir=run", *arguments, cwd=tmp_path, env=hub_environment | env)

    return run


def lines_of(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "train/examples_per_second"} for line in lines]


def test_training_goes_on_during_uploads_and_the_best_checkpoint_is_last(train, hub, call_bisum, small, read, tmp_path):
    epochs = ["trainer.epochs=6"]
    done = train(*epochs)
    assert done.code == 0, done.err
    record, repository = read.record(tmp_path / "run"), hub.repositories["me/titles"]
    best = record["test"]["checkpoint"]
    uploaded = [commit.message.removeprefix("Upload ") for commit in repository.commits[1:]]
    assert uploaded[-1] == best
    assert 1 < len(uploaded) < 6  # an upload takes longer than an epoch, so that the newest replaces others
    assert record["hub"]["uploaded"] == best
    assert record["hub"]["commit"] == f"{hub.address}/me/titles/commit/{repository.head.oid}"
    assert f"hub: uploaded {best}: {record['hub']['commit']}" in done.out
    checkpoint = tmp_path / "run/checkpoints" / best
    assert repository.files["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    card = repository.files["README.md"].decode()
    assert "split: test" in card
    assert "unfinished" not in card
    assert repository.files["metrics.jsonl"] == (tmp_path / "run/metrics.jsonl").read_bytes()
    assert not (tmp_path / "run/.uploads").exists()

    assert hub.places_of("hf_of_me") == []
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hf_of_me" not in path.read_bytes(), path

    plain = call_bisum(*small, *epochs, "tracker=none", "hydra.run.dir=plain")
    assert plain.code == 0
    assert lines_of(tmp_path / "plain") == lines_of(tmp_path / "run")


def test_an_outage_costs_warnings_and_push_finishes_the_job(train, hub, run_bisum, hub_environment, read, tmp_path):
    with hub.failing(502, on="create", times=1), hub.failing(503, on="commit"):
        done = train()
    assert done.code == 0
    assert "the next evaluation tries again" in done.out
    record = read.record(tmp_path / "run")
    best = record["test"]["checkpoint"]
    assert record["status"] == "finished"
    assert "503" in record["hub"]["problem"]
    assert f"> warning: hub: {best} was not uploaded: " in done.out
    assert "bisum push run" in done.out
    assert [commit.message for commit in hub.repositories["me/titles"].commits] == ["initial commit"]
    pushed = run_bisum("push", "run", cwd=tmp_path, env=hub_environment | LOGIN)
    assert pushed.code == 0
    assert hub.repositories["me/titles"].head.message == f"Upload {best}"


def test_every_evaluation_becomes_a_revision_also_after_an_outage(train, hub):
    with hub.failing(503, on="commit", times=3):  # one upload with its repetitions
        done = train("hub.revisions=true", "trainer.keep_checkpoints=1", "trainer.epochs=3")
    assert done.code == 0
    assert set(hub.repositories["me/titles"].tags) == {"epoch-1", "epoch-2", "epoch-3"}


@pytest.mark.usefixtures("use_hub")
@pytest.mark.parametrize("is_logged_in", [True, False])
def test_a_missing_permission_stops_a_run_before_it_reads_the_corpus(is_logged_in, call_bisum, monkeypatch):
    if is_logged_in:
        monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    arguments = ["model=tiny", *PUSH, "hub.repo_id=me/titles", "corpus=files", "corpus.path=missing.csv"]
    done = call_bisum(*arguments)
    assert done.code == 2
    (line,) = done.err.splitlines()
    expected = "hub.repo_id: " if is_logged_in else "hub: an upload needs a login; run 'hf auth login', or set HF_TOKEN"
    assert line.startswith(f"bisum: {expected}")


def test_an_upload_that_takes_too_long_is_given_up(train, hub, read, tmp_path):
    with hub.hanging(on="commit"):
        done = train("hub.timeout=0.2")
    assert done.code == 0
    problem = "the hub has not completed the upload within 0.2 minutes (hub.timeout)"
    assert read.record(tmp_path / "run")["hub"]["problem"] == problem
    assert f"was not uploaded: {problem}" in done.out


def test_an_interrupted_run_ends_its_uploads_and_continues_them_when_resumed(
    hub, small, hub_environment, run_bisum, read, tmp_path
):
    environment = {**os.environ, **hub_environment, **LOGIN, "PYTHONPATH": str(Path(bisum.__file__).parents[1])}
    command = [sys.executable, "-m", "bisum", *small, *PUSH, "hydra.run.dir=run", "trainer.epochs=1000"]
    with hub.hanging(on="commit"):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        while not any("/commit/" in path for _, path in hub.received):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "hub: the upload is incomplete; after the run, upload its best checkpoint with: bisum push run" in out
    assert not (tmp_path / "run/.uploads").exists()
    done = run_bisum("resume=run", "trainer.max_steps=1", cwd=tmp_path, env=hub_environment | LOGIN)
    assert done.code == 0, done.err
    best = read.record(tmp_path / "run")["test"]["checkpoint"]
    assert hub.repositories["me/titles"].head.message == f"Upload {best}"


def test_a_killed_run_can_be_resumed_although_its_checkpoints_are_linked(trained, call_bisum, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    kept = tmp_path / "run/.uploads/1/checkpoints/epoch-2"
    kept.mkdir(parents=True)
    for path in (tmp_path / "run/checkpoints/epoch-2").iterdir():
        (kept / path.name).hardlink_to(path)
    done = call_bisum("resume=run", "trainer.epochs=3")
    assert done.code == 0, done.err
    assert not kept.exists()


def test_jobs_of_a_sweep_cannot_share_a_repository(call_bisum, one_line):
    refused = one_line(call_bisum("-m", "seed=1,2", "model=tiny", *PUSH))
    assert refused.startswith("bisum: hub.repo_id: several jobs would upload to 'titles'; give each its own")
    own = ["hub.push=true", "hub.repo_id=titles-${hydra.job.num}", "--cfg", "job"]
    assert call_bisum("-m", "seed=1,2", "model=tiny", *own).code == 0
    refused = one_line(call_bisum("hparams_search=optuna", *PUSH))
    assert refused.startswith("bisum: hub.push: not supported in a search")
