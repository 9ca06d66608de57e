"""`bisum push`: the folder that would be uploaded, and uploads to a stand-in for the hub with the real client."""

import json
import shutil

import pytest
from safetensors.torch import load_file

from bisum.runs.lock import lock

LOGIN = {"HF_TOKEN": "hf_of_me"}


@pytest.fixture(scope="session")
def exported(trained, run_bisum, tmp_path_factory):
    """The folder of a run's best checkpoint."""
    where = tmp_path_factory.mktemp("exported")
    done = run_bisum("push", str(trained), "hub.folder=model", cwd=where)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-2:] == ["written to model", "load it with  bisum summarize model"]
    return where / "model"


@pytest.fixture(scope="session")
def best(trained):
    """The name of the run's best checkpoint."""
    return json.loads((trained / "run.json").read_text("utf-8"))["test"]["checkpoint"]


def scored(run, best):
    return [json.loads(line) for line in (run / f"predictions/test-{best}.jsonl").read_text("utf-8").splitlines()]


def test_the_folder_has_the_model_the_card_and_the_metrics_only(exported, trained, best):
    checkpoint = {path.name for path in (trained / "checkpoints" / best).iterdir()}
    resuming = {"manifest.json", "state.json", "optimizer.safetensors"}
    assert resuming < checkpoint
    added = {"README.md", "curves.png", "metrics.jsonl"}
    assert {path.name for path in exported.iterdir()} == checkpoint - resuming | added
    assert (exported / "metrics.jsonl").read_bytes() == (trained / "metrics.jsonl").read_bytes()
    weights = load_file(trained / "checkpoints" / best / "model.safetensors")
    assert all(tensor.equal(weights[name]) for name, tensor in load_file(exported / "model.safetensors").items())
    assert sum(path.stat().st_nlink for path in exported.iterdir()) == len([*exported.iterdir()])


def test_plain_transformers_generates_the_same_summaries(exported, trained, best):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(exported), AutoModelForSeq2SeqLM.from_pretrained(exported)
    rows = scored(trained, best)
    for row in rows:
        inputs = tokenizer(row["document"], max_length=64, truncation=True, return_tensors="pt")
        (ids,) = model.generate(**inputs)
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == row["prediction"]
    assert len({row["prediction"] for row in rows}) > 1


def test_bisum_loads_the_folder(exported, trained, best, call_bisum):
    rows = scored(trained, best)[:3]
    limits = ["model.max_document_tokens=64", "model.max_summary_tokens=12", "generation.min_tokens=4"]
    more = ["generation.no_repeat_ngram_size=1", "language=en"]
    done = call_bisum("summarize", str(exported), *limits, *more, "--", *(row["document"] for row in rows))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [row["prediction"] for row in rows]


def test_an_existing_folder_is_refused_and_kept(trained, call_bisum, one_line, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/notes.txt").write_text("mine", "utf-8")
    refused = one_line(call_bisum("push", str(trained), "hub.folder=model"))
    assert refused == "bisum: hub.folder: 'model' exists; give a new or empty folder"
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["notes.txt"]


def test_a_run_is_uploaded_privately_with_the_files_of_the_folder(
    trained, best, exported, run_bisum, hub, hub_environment, tmp_path
):
    done = run_bisum("push", str(trained), "hub.repo_id=titles", cwd=tmp_path, env=hub_environment | LOGIN)
    assert (done.code, done.err) == (0, "")
    repository = hub.repositories["me/titles"]
    assert repository.private
    assert (
        done.out.splitlines(keepends=True)[-1]
        == f"uploaded {best} (private): {hub.address}/me/titles/commit/{repository.head.oid}\n"
    )
    named = {path.name: path.read_bytes() for path in exported.iterdir() if path.name != "README.md"}
    others = ("README.md", ".gitattributes")
    assert {name: content for name, content in repository.files.items() if name not in others} == named
    assert "me/titles" in repository.files["README.md"].decode()
    assert hub.places_of("hf_of_me") == []
    assert not any(b"hf_of_me" in path.read_bytes() for path in trained.rglob("*") if path.is_file())


def test_every_checkpoint_becomes_a_revision(trained, best, run_bisum, hub, hub_environment, tmp_path):
    arguments = ["push", str(trained), "hub.repo_id=me/titles", "hub.revisions=true"]
    assert run_bisum(*arguments, cwd=tmp_path, env=hub_environment | LOGIN).code == 0
    repository = hub.repositories["me/titles"]
    assert set(repository.tags) == {"epoch-1", "epoch-2"}
    assert repository.tags[best].oid == repository.head.oid
    for name, commit in repository.tags.items():
        assert commit.files["model.safetensors"] == (trained / "checkpoints" / name / "model.safetensors").read_bytes()


def test_a_checkpoint_can_be_named(trained, best, run_bisum, hub, hub_environment, tmp_path):
    other = {"epoch-1": "epoch-2", "epoch-2": "epoch-1"}[best]
    checkpoint = trained / "checkpoints" / other
    arguments = ["push", str(checkpoint), "hub.repo_id=me/titles", "hub.private=false", "hub.license=apache-2.0"]
    done = run_bisum(*arguments, cwd=tmp_path, env=hub_environment | LOGIN)
    assert done.out.splitlines()[-1].startswith(f"uploaded {other} (public): ")
    repository = hub.repositories["me/titles"]
    assert not repository.private
    assert repository.files["model.safetensors"] == (checkpoint / "model.safetensors").read_bytes()
    assert "license: apache-2.0" in repository.files["README.md"].decode()


def test_an_outage_is_one_line_that_says_to_try_again(trained, run_bisum, hub, hub_environment, tmp_path):
    with hub.down():
        done = run_bisum("push", str(trained), "hub.repo_id=me/titles", cwd=tmp_path, env=hub_environment | LOGIN)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(f"bisum: hub.repo_id: cannot reach the hub at {hub.address} for 'me/titles'")
    assert line.endswith("; try again later")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "run: give one run directory, as in bisum push outputs/RUN hub.repo_id=me/mt5-reviews"),
        (["RUN", "RUN"], "run: give one run directory, as in bisum push outputs/RUN hub.repo_id=me/mt5-reviews"),
        (["/nowhere"], "run: no such directory: '/nowhere'"),
        (["RUN"], "hub.repo_id: give the repository to upload to, such as hub.repo_id=me/mt5-reviews"),
        (["RUN", "hub.repo_id=a b"], "hub.repo_id: 'a b' is not a repository name; use letters"),
        (["RUN", "hub.repo_id=me/x", "hub.privat=true"], "hub.privat: no such key, did you mean 'private'?"),
        (["RUN", "hub.repo_id=me/x", "hub.private=no"], "hub.private: expected true, false or null, not 'no'"),
        (["RUN", "hub.repo_id=me/x"], "hub: HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it"),
        (["RUN", "hub.folder=RUN/shared"], "hub.folder: "),
        (["RUN", "hub.repo_id=me/x", "hub.license=${oc.env:X}"], "hub.license: bisum push resolves no '${'; give"),
        (["google/mt5-small"], "run: 'google/mt5-small' is neither a run of bisum nor"),
        (["pkg://bisum.assets.starter"], "run: 'pkg://bisum.assets.starter' is neither a run of bisum nor"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, trained, call_bisum, one_line):
    arguments = [argument.replace("RUN", str(trained)) for argument in arguments]
    assert one_line(call_bisum("push", *arguments)).removeprefix("bisum: ").startswith(message)


def test_a_run_in_progress_is_refused(trained, call_bisum, one_line):
    with lock(trained, ""):
        assert "is still running; wait until it ends" in one_line(call_bisum("push", str(trained), "hub.folder=model"))


def test_only_files_of_the_checkpoint_are_shared(trained, best, call_bisum, one_line, tmp_path):
    """A run can be someone else's: a link must not publish another file."""
    run = shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "secret").write_text("private", "utf-8")
    (run / f"checkpoints/{best}/notes.txt").symlink_to(tmp_path / "secret")
    (run / f"checkpoints/{best}/.env").write_text("private", "utf-8")
    assert call_bisum("push", "run", "hub.folder=model").code == 0
    assert not {"notes.txt", ".env"} & {path.name for path in (tmp_path / "model").iterdir()}
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(tmp_path / "secret")
    refused = one_line(call_bisum("push", "run", "hub.folder=other"))
    assert refused.endswith("metrics.jsonl' is not a regular file of the run; restore it from a copy")
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("use_hub")
def test_a_record_cannot_make_another_repository_public(trained, hub, call_bisum, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_of_me")
    run = shutil.copytree(trained, tmp_path / "run")
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["config"]["hub"] |= {"private": False, "repo_id": "me/stranger"}
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    assert call_bisum("push", "run", "hub.repo_id=me/mine").code == 0
    assert hub.repositories["me/mine"].private


def test_a_damaged_checkpoint_is_refused(trained, best, call_bisum, one_line, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / f"checkpoints/{best}/model.safetensors").write_bytes(b"short")
    assert f"checkpoints/{best}' is damaged (model.safetensors has changed)" in one_line(
        call_bisum("push", "run", "hub.folder=model")
    )
    assert not (tmp_path / "model").exists()
