"""W&B hosts that are not there, hang or answer nonsense: the training does not notice."""

import json
import re
import socket
import time
from http.server import BaseHTTPRequestHandler

import pytest
from stand_in_host import Server

from bisum import compose, train

SECRET = "5ec4e7" * 7
VIEWER = {"data": {"viewer": {"id": "x", "entity": "me", "username": "me", "email": "", "flags": "{}"}}}


@pytest.fixture
def host():
    """Start a host that answers as `kind` says; returns its address."""
    servers = []

    def start(kind):
        class Host(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if kind == "hangs" or (kind == "knows the key and then hangs" and b"Viewer" not in body):
                    time.sleep(60)
                answer = b"<html>login" if kind == "answers garbage" else json.dumps(VIEWER).encode()
                self.send_response(403 if kind == "refuses the key" else 200)
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *arguments):
                pass

        servers.append(Server(Host))
        return servers[-1].address

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def takes_everything():
    """A host that behaves as W&B does, but has every table already; keeps the history it is sent."""
    history = []

    class Host(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = json.loads(body) if body.startswith(b"{") else {}
            for name, chunk in (asked.get("files") or {}).items():
                if name == "wandb-history.jsonl":
                    assert chunk["offset"] == len(history)
                    history.extend(json.loads(line) for line in chunk["content"])
            named = re.search(r"(?:query|mutation) (\w+)", asked.get("query", ""))
            operation = asked.get("operationName") or (named and named[1])
            answer = json.dumps({"data": self.answer(operation, asked.get("variables"))}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_POST  # noqa: N815

        def answer(self, operation, given):
            entity = {"id": "e", "name": "me"}
            project = {"id": "p", "name": "bisum", "entity": entity}
            if operation == "UpsertBucket":
                run = {"id": "r", "name": given["name"], "displayName": "", "config": "{}", "project": project}
                return {"upsertBucket": {"bucket": run, "inserted": True}}
            if operation == "RunResumeStatus":
                bucket = {
                    "id": "r",
                    "name": given["name"],
                    "historyLineCount": len(history),
                    "config": "{}",
                    "tags": [],
                }
                bucket |= {"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]", "summaryMetrics": "{}"}
                tail = json.dumps([json.dumps(line) for line in history[-1:]])
                bucket |= {"historyTail": tail, "wandbConfig": '{"t": 1}', "displayName": ""}
                return {"model": project | {"bucket": bucket if history else None}}
            if operation == "CreateRunFiles":
                files = [{"name": name, "uploadUrl": f"{server.address}/{name}"} for name in given["files"]]
                return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}
            if operation == "ArtifactType":
                return {} if server.refuses_tables else {"project": None}
            if operation == "CreateArtifact":
                return {"createArtifact": {"artifact": {"id": "a", "state": "COMMITTED"}}}
            return VIEWER["data"] if operation == "Viewer" else {}

        def log_message(self, *arguments):
            pass

    server = Server(Host)
    server.history, server.refuses_tables = history, False
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def untracked(small, tmp_path_factory):
    """The metrics of a run without tracker."""
    directory = tmp_path_factory.mktemp("run") / "run"
    train(compose([*small, "trainer.epochs=1", "tracker=none"]), directory)
    return values(directory)


def values(directory):
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "train/examples_per_second"} for line in lines]


@pytest.fixture
def _tracked(monkeypatch):
    """Without what the tests' environment sets, `WANDB_MODE=disabled`."""
    monkeypatch.delenv("WANDB_MODE")


def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.usefixtures("_tracked")
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("is not there", "tracking offline"),
        ("hangs", "tracking offline"),
        ("answers garbage", "tracking offline"),
        ("refuses the key", "tracking offline"),
        ("knows the key and then hangs", "was stopped"),
    ],
)
def test_a_host_that(kind, said, host, small, untracked, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_BASE_URL", closed_port() if kind == "is not there" else host(kind))
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    arguments = [*small, "trainer.epochs=1", "tracker.mode=auto", "tracker.finish_seconds=8"]
    began = time.perf_counter()
    train(compose(arguments), tmp_path / "run")
    assert time.perf_counter() - began < 60
    assert values(tmp_path / "run") == untracked
    out, err = capfd.readouterr()
    assert err == ""
    (warning,) = (line for line in out.splitlines() if "warning" in line)
    assert said in warning
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.usefixtures("_tracked")
@pytest.mark.parametrize("mode", ["auto", "online"])
def test_without_a_key(mode, small, untracked, tmp_path, capfd):
    train(compose([*small, "trainer.epochs=1", f"tracker.mode={mode}"]), tmp_path / "run")
    assert values(tmp_path / "run") == untracked
    lines = [line for line in capfd.readouterr().out.splitlines() if "API key" in line]
    assert [line.partition(":")[0] for line in lines] == ["> warning"] * (mode == "online") + ["> tracked offline"]


def test_disabled_by_the_environment(small, tmp_path):
    """`WANDB_MODE=disabled`, which the tests' own environment sets."""
    train(compose([*small, "trainer.epochs=1"]), tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not names & {"wandb", "tracker.log", "tracked.jsonl"}


def test_online_a_resumed_run_is_continued(takes_everything, small, command, tmp_path, monkeypatch, capfd, read):
    """The history that the host was sent has every line once; of a longer run, what it logs anew follows."""
    address, history = takes_everything.address, takes_everything.history
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    directory = tmp_path / "run"
    arguments = [*small, "trainer.epochs=1", "tracker.mode=online", "tracker.table_rows=0"]
    assert command(*arguments, f"hydra.run.dir={directory}") == 0
    out, err = capfd.readouterr()
    identity = read.record(directory)["tracker"]["id"]
    assert out.count(f"> tracked at {address}/me/bisum/runs/{identity}") == 2  # when it begins and when it ends
    assert (err, out.count("warning")) == ("", 0)
    first = read.lines(directory / "metrics.jsonl")
    assert [line["_step"] for line in history] == list(range(len(first)))
    for line, sent in zip(first, history, strict=True):
        assert sent | line == sent
    assert command(f"resume={directory}", "trainer.epochs=2") == 0
    lines = read.lines(directory / "metrics.jsonl")
    kept = len(first) - 1  # the test split's line is logged again
    assert [line["_step"] for line in history[len(first) :]] == list(range(len(first), len(lines) + 1))
    for line, sent in zip(lines[kept:], history[len(first) :], strict=True):
        assert sent | line == sent
    assert read.record(directory)["tracker"]["id"] == identity
    assert SECRET not in "".join(path.read_text("utf-8", "replace") for path in directory.rglob("*.log"))


def test_a_table_that_is_refused_costs_no_metric(takes_everything, small, command, tmp_path, monkeypatch, capfd, read):
    takes_everything.refuses_tables = True
    monkeypatch.setenv("WANDB_BASE_URL", takes_everything.address)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    assert command(*small, "tracker.mode=online", f"hydra.run.dir={tmp_path / 'run'}") == 0
    (warning,) = (line for line in capfd.readouterr().out.splitlines() if "warning" in line)
    assert "log failed: " in warning
    lines = read.lines(tmp_path / "run/metrics.jsonl")
    assert [line["_step"] for line in takes_everything.history] == list(range(len(lines)))
    for line, sent in zip(lines, takes_everything.history, strict=True):
        assert sent | line == sent


@pytest.mark.usefixtures("_tracked")
def test_a_strangers_folder_chooses_no_host(small, tmp_path, monkeypatch):
    """W&B reads `wandb/settings` in the current folder, whose `base_url` would get the key."""
    asked = []

    class Host(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.headers.get("authorization"))
            self.send_response(200)
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *arguments):
            pass

    server = Server(Host)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "wandb", tmp_path / "run/wandb"):
        folder.mkdir(parents=True)
        (folder / "settings").write_text(f"[default]\nbase_url = {server.address}\n", encoding="utf-8")
    arguments = [*small, "trainer.epochs=1", "tracker.mode=auto", "tracker.finish_seconds=8"]
    train(compose(arguments), tmp_path / "run")
    assert asked == []
    monkeypatch.setenv("WANDB_BASE_URL", server.address)  # the user's own choice
    train(compose(arguments), tmp_path / "other")
    assert asked
    server.shutdown()
    server.server_close()
