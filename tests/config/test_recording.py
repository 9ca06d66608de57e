"""A recorded configuration contains no secrets and is sufficient to resume from."""

import json
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import bisum
from bisum import compose
from bisum.config.recording import RECORD_VARIABLE
from bisum.errors import UserError, without_secrets

SECRET = "planted-s3cret-9876"


def found(folder):
    """Return the files below a folder that contain the secret."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    return [str(path.relative_to(folder)) for path in files if SECRET.encode() in path.read_bytes()]


@pytest.fixture
def served(tmp_path):
    """The signed URL of a file of rows on a local server."""
    folder = tmp_path / "served"
    folder.mkdir()
    rows = [
        {"text": f"The {n}th river flows past the village. It rains.", "title": f"The {n}th river", "lang": language}
        for n in range(60)
        for language in ("en", "es")
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/rows.jsonl?user=me&sig={SECRET}"
    server.shutdown()


@pytest.mark.parametrize("tracker", [["tracker=none"], ["tracker=wandb", "tracker.mode=offline"], ["tracker=trackio"]])
@pytest.mark.parametrize("way", ["argument", "variable"])
def test_no_file_of_a_run_contains_a_signature(way, tracker, served, call_bisum, tmp_path, monkeypatch):
    if tracker == ["tracker=trackio"]:
        pytest.importorskip("trackio")
        monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "run/trackio"))
    monkeypatch.setenv("SIGNED", served)
    url = "${oc.env:SIGNED}" if way == "variable" else f'"{served}"'
    arguments = ["corpus=files", f"corpus.path={url}", "evaluation.bootstrap_samples=100", "hydra.run.dir=run"]
    done = call_bisum("baseline", *arguments, *tracker)
    assert done.code == 0, done.err
    assert SECRET not in done.out + done.err
    assert found(tmp_path) == []
    recorded = json.loads((tmp_path / "run/run.json").read_text("utf-8"))
    masked = without_secrets(served)
    assert masked.endswith("/rows.jsonl?...")
    assert recorded["config"]["corpus"]["path"] == ("${oc.env:SIGNED}" if way == "variable" else masked)
    assert recorded["from_environment"] == ([["corpus", "path"]] if way == "variable" else [])


def test_no_file_of_a_sweep_contains_a_signature(served, call_bisum, tmp_path):
    arguments = ["corpus=files", f'corpus.path="{served}"', "evaluation.bootstrap_samples=100", "hydra.sweep.dir=sweep"]
    done = call_bisum("baseline", "-m", *arguments, "evaluation.lead=1,2", "tracker=none")
    assert done.code == 0, done.err
    assert SECRET not in done.out + done.err
    assert found(tmp_path) == []


def test_resuming_requires_the_environment_variable(call_bisum, one_line, small, read, tmp_path, monkeypatch):
    monkeypatch.setenv("LEARNING_RATE", "0.01234567")
    rate = "trainer.learning_rate='${oc.decode:${oc.env:LEARNING_RATE}}'"
    arguments = [*small, "trainer.epochs=1", "tracker=none", "hydra.run.dir=run"]
    assert call_bisum(*arguments, rate).code == 0
    config = read.record(tmp_path / "run")["config"]
    assert config["trainer"]["learning_rate"] == "${oc.decode:${oc.env:LEARNING_RATE}}"
    assert 0.01234567 in read.series(tmp_path / "run", "train/learning_rate")
    assert call_bisum("resume=run", "trainer.epochs=2").code == 0
    assert len(read.series(tmp_path / "run", "eval/loss")) == 2
    monkeypatch.delenv("LEARNING_RATE")
    line = one_line(call_bisum("resume=run", "trainer.epochs=3"))
    assert "trainer.learning_rate: needs the environment variable LEARNING_RATE, which is not set" in line
    assert call_bisum("resume=run", "trainer.epochs=3", "trainer.learning_rate=1e-3").code == 0


def test_masked_url_must_be_given_again(served, call_bisum, one_line, small, tmp_path):
    arguments = [argument for argument in small if not argument.startswith("corpus.")]
    url = f'corpus.path="{served}"'
    done = call_bisum(*arguments, "trainer.epochs=1", "corpus=files", url, "tracker=none", "hydra.run.dir=run")
    assert done.code == 0, done.err
    for command in (["resume=run", "trainer.epochs=2"], ["evaluate", "run"]):
        line = one_line(call_bisum(*command, "tracker=none"))
        assert line.startswith("bisum: corpus.path: run.json does not contain the secrets of 'http://127.0.0.1:")
        assert call_bisum(*command, url, "tracker=none").code == 0
    assert found(tmp_path) == []


def test_variables_without_secrets_are_recorded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    arguments = ["cache_dir=${oc.env:HOME}/x", "tracker.tags=['${oc.env:SLURM_JOB_ID}']"]
    with pytest.raises(UserError, match=r"^tracker.tags: would show others the environment variable SLURM_JOB_ID"):
        compose(arguments)
    monkeypatch.setenv(RECORD_VARIABLE, "OTHER, SLURM_*")
    recorded = compose(arguments).provenance.recorded.config
    assert recorded["cache_dir"] == "/home/someone/x"
    assert recorded["tracker"]["tags"] == ["4711"]


@pytest.mark.parametrize("key", ["name", "group", "project", "entity"])
def test_tracker_shows_no_variables(key, monkeypatch):
    monkeypatch.setenv("PLANTED", SECRET)
    with pytest.raises(
        UserError, match=rf"^tracker.{key}: would show others the environment variable PLANTED"
    ) as raised:
        compose([f"tracker.{key}=x-${{oc.env:PLANTED}}"])
    assert SECRET not in str(raised.value)


def test_secret_passed_through_another_key_is_masked(monkeypatch):
    monkeypatch.setenv("PLANTED", SECRET)
    arguments = [
        "cache_dir=/tmp/${oc.env:PLANTED}",
        "model.prefix='${cache_dir}'",
        "model.suffix=${oc.env:ABSENT,none}",
    ]
    config = compose(arguments)
    assert config.model.prefix == f"/tmp/{SECRET}"
    assert config.provenance.recorded.config["model"]["prefix"] == "/tmp/${oc.env:PLANTED}"
    assert config.provenance.recorded.config["model"]["suffix"] == "none"
    assert config.provenance.recorded.mask(f"in {SECRET}") == "in ${oc.env:PLANTED}"


def test_untrusted_record_resolves_only_listed_expressions(call_bisum, one_line, small, tmp_path, monkeypatch):
    monkeypatch.setenv("PLANTED", SECRET)
    bisum.train(compose([*small, "trainer.epochs=1", "tracker=none"]), tmp_path / "run")
    path = tmp_path / "run/run.json"
    record = json.loads(path.read_text("utf-8"))
    record["config"]["model"]["prefix"] = "${oc.env:PLANTED}"  # not listed, so text
    record["config"]["model"]["suffix"] = "${oc.select:model.prefix}"
    record["from_environment"] = [["model", "suffix"], ["nowhere", 3], "x"]
    path.write_text(json.dumps(record), encoding="utf-8")
    done = call_bisum("evaluate", "run", "tracker=none", "--cfg", "job", "--resolve")
    assert done.code == 0, done.err
    assert SECRET not in done.out
    assert "suffix: ${oc.select:model.prefix}" in done.out


def test_record_cannot_choose_a_folder_to_write_to(call_bisum, small, read, tmp_path):
    pytest.importorskip("trackio")
    bisum.train(compose([*small, "trainer.epochs=1", "tracker=none"]), tmp_path / "run")
    record = read.record(tmp_path / "run")
    record["config"]["cache_dir"] = str(tmp_path / "elsewhere")
    record["config"]["tracker"] |= {
        "_target_": "bisum.trackers.trackio_tracker.TrackioTracker",
        "directory": str(tmp_path / "elsewhere"),
    }
    (tmp_path / "run/run.json").write_text(json.dumps(record), encoding="utf-8")
    done = call_bisum("resume=run", "trainer.epochs=2")
    assert done.code == 2
    assert f"'{tmp_path / 'elsewhere'}' from run/run.json contains no tracker files" in done.err
    assert call_bisum("resume=run", "trainer.epochs=2", "tracker=none").code == 0
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "argument",
    ["model.checkpoint='https://me:PASSWORD@host/model'", "corpus=hub corpus.repo='https://me:PASSWORD@host/x/y'"],
)
def test_url_with_a_login_is_refused_as_model_or_repository(argument, call_bisum, one_line, tmp_path):
    line = one_line(call_bisum(*argument.split()))
    assert "'https://...@host/" in line
    assert "PASSWORD" not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@host/x.csv?a=b&c=d", "https://...@host/x.csv?..."),
        ("see https://host/x?y=1, and z", "see https://host/x?..., and z"),
        ("simplecache::https://token@host/a?sig=1 b", "simplecache::https://...@host/a?... b"),
        ("s3://key:secret@bucket/x", "s3://...@bucket/x"),
        ("abfs://container@account/x", "abfs://container@account/x"),
        ("github://owner:repo@main/x.csv", "github://owner:repo@main/x.csv"),
        ("https://...@host/x?...", "https://...@host/x?..."),
        ("https://host/x.csv;sig=1 and", "https://host/x.csv;... and"),
        ("https://host/x.csv#sig=1", "https://host/x.csv#..."),
        ("https://host/x.csv; then", "https://host/x.csv; then"),
        ("a:b@c?d=e", "a:b@c?d=e"),
        ("https://me:pa/SECRET@host/x.csv", "https://...@host/x.csv"),
        ("https://me:pa?ss@host/x.csv", "https://...@host/x.csv"),
        ("HTTPS://token@host/x", "HTTPS://...@host/x"),
        ("https://host:8080/a@b.csv", "https://host:8080/a@b.csv"),
        ("hf://datasets/a/b@main/x.csv", "hf://datasets/a/b@main/x.csv"),
        ("zip://a.csv::https://me:pw@host/b.zip?sig=1", "zip://a.csv::https://...@host/b.zip?..."),
    ],
)
def test_queries_and_logins_of_urls_are_masked(text, shown):
    assert without_secrets(text) == shown


@pytest.mark.parametrize("argument", ["trainer.optimizer=${oc.env:PLANTED}", "experiment=${oc.env:PLANTED}"])
def test_message_contains_no_variables(argument, call_bisum, one_line, monkeypatch, tmp_path):
    monkeypatch.setenv("PLANTED", SECRET)
    line = one_line(call_bisum(argument))
    assert "${oc.env:PLANTED}" in line
    assert SECRET not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["http://a?" + "." * 200_000 + "a", "://" * 100_000, "a://" + ":" * 200_000])
def test_long_text_is_masked_quickly(text):
    """Documents can contain such text."""
    start = time.perf_counter()
    without_secrets(text)
    assert time.perf_counter() - start < 1


def test_masking_does_not_damage_the_record(served, call_bisum, read, tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDER", str(tmp_path / "served"))
    argument = '"' + served.replace("user=me", "split=validation") + '"'
    arguments = ["corpus=files", "evaluation.bootstrap_samples=100", "tracker=none", "split=validation"]
    assert call_bisum("baseline", *arguments, f"corpus.path={argument}", "hydra.run.dir=a").code == 0
    assert read.record(tmp_path / "a")["baseline"]["split"] == "validation"
    both = ["corpus.train='${oc.env:FOLDER}/rows.jsonl'", f"corpus.validation={tmp_path}/served/rows.jsonl"]
    assert (
        call_bisum("baseline", *arguments, *both, f"corpus.test={tmp_path}/served/rows.jsonl", "hydra.run.dir=b").code
        == 0
    )
    corpus = read.record(tmp_path / "b")["config"]["corpus"]
    assert corpus["train"] == "${oc.env:FOLDER}/rows.jsonl"
    assert corpus["validation"] == f"{tmp_path}/served/rows.jsonl"


def test_untrusted_record_cannot_send_a_variable_to_a_host(call_bisum, one_line, small, read, tmp_path, monkeypatch):
    monkeypatch.setenv("PLANTED", SECRET)
    bisum.train(compose([*small, "trainer.epochs=1", "tracker=none"]), tmp_path / "run")
    record = read.record(tmp_path / "run")
    record["config"]["corpus"] = compose(["corpus=files", "corpus.path=x"]).provenance.resolved["corpus"]
    record["config"]["corpus"]["path"] = "http://127.0.0.1:9/${oc.env:PLANTED}/rows.jsonl"
    record["from_environment"] = [["corpus", "path"]]
    (tmp_path / "run/run.json").write_text(json.dumps(record), encoding="utf-8")
    line = one_line(call_bisum("evaluate", "run", "tracker=none"))
    assert line.startswith(
        "bisum: corpus.path: run.json puts an environment variable into 'http://127.0.0.1:9/${oc.env:PLANTED}/"
    )


@pytest.mark.parametrize("mark", ["?", ";", "#"])
def test_message_about_a_url_contains_no_secret_in_any_case(mark, call_bisum, one_line):
    line = one_line(
        call_bisum(
            "baseline",
            "tracker=none",
            "corpus=files",
            f'corpus.path="http://127.0.0.1:9/r.txt{mark}sig={SECRET.upper()}"',
        )
    )
    assert SECRET not in line.lower()
    assert "has the extension '.txt'" in line
