"""W&B hosts that are unreachable, hang or return garbage do not affect a training run."""

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
    """Start a host that behaves as `kind` says; returns its address."""
    servers = []

    def start(kind):
        class Host(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if kind == "hangs" or (kind == "accepts the key and then hangs" and b"Viewer" not in body):
                    time.sleep(60)
                answer = b"<html>login" if kind == "returns garbage" else json.dumps(VIEWER).encode()
                self.send_response(403 if kind == "rejects the key" else 200)
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
def accepting_host():
    """A host that behaves like W&B but already has every table; records the history it receives."""
    history = []

    class Host(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = json.loads(body) if body.startswith(b"{") else {}
            for name, chunk in (request.get("files") or {}).items():
                if name == "wandb-history.jsonl":
                    assert chunk["offset"] == len(history)
                    history.extend(json.loads(line) for line in chunk["content"])
            named = re.search(r"(?:query|mutation) (\w+)", request.get("query", ""))
            operation = request.get("operationName") or (named and named[1])
            answer = json.dumps({"data": self.answer(operation, request.get("variables"))}).encode()
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
                return {} if server.rejects_tables else {"project": None}
            if operation == "CreateArtifact":
                return {"createArtifact": {"artifact": {"id": "a", "state": "COMMITTED"}}}
            return VIEWER["data"] if operation == "Viewer" else {}

        def log_message(self, *arguments):
            pass

    server = Server(Host)
    server.history, server.rejects_tables = history, False
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
    """Remove `WANDB_MODE=disabled` from the tests' environment."""
    monkeypatch.delenv("WANDB_MODE")


def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.usefixtures("_tracked")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("is unreachable", "tracking offline"),
        ("hangs", "tracking offline"),
        ("returns garbage", "tracking offline"),
        ("rejects the key", "tracking offline"),
        ("accepts the key and then hangs", "stopped"),
    ],
)
def test_failing_host_costs_one_warning(kind, message, host, small, untracked, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_BASE_URL", closed_port() if kind == "is unreachable" else host(kind))
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    arguments = [*small, "trainer.epochs=1", "tracker.mode=auto", "tracker.finish_seconds=8"]
    began = time.perf_counter()
    train(compose(arguments), tmp_path / "run")
    assert time.perf_counter() - began < 60
    assert values(tmp_path / "run") == untracked
    out, err = capfd.readouterr()
    assert err == ""
    (warning,) = (line for line in out.splitlines() if "warning" in line)
    assert message in warning
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.usefixtures("_tracked")
@pytest.mark.parametrize("mode", ["auto", "online"])
def test_missing_key_warns_only_online(mode, small, untracked, tmp_path, capfd):
    train(compose([*small, "trainer.epochs=1", f"tracker.mode={mode}"]), tmp_path / "run")
    assert values(tmp_path / "run") == untracked
    lines = [line for line in capfd.readouterr().out.splitlines() if "API key" in line]
    assert [line.partition(":")[0] for line in lines] == ["> warning"] * (mode == "online") + ["> tracked offline"]


def test_environment_disables_tracking(small, tmp_path):
    """The tests' own environment sets `WANDB_MODE=disabled`."""
    train(compose([*small, "trainer.epochs=1"]), tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not names & {"wandb", "tracker.log", "tracked.jsonl"}


def test_resumed_run_continues_online(accepting_host, small, command, tmp_path, monkeypatch, capfd, read):
    """The host receives every line once, followed by the lines that the resumed run logs."""
    address, history = accepting_host.address, accepting_host.history
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    directory = tmp_path / "run"
    arguments = [*small, "trainer.epochs=1", "tracker.mode=online", "tracker.table_rows=0"]
    assert command(*arguments, f"hydra.run.dir={directory}") == 0
    out, err = capfd.readouterr()
    identity = read.record(directory)["tracker"]["id"]
    assert out.count(f"> tracked at {address}/me/bisum/runs/{identity}") == 2  # at the start and at the end
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


def test_rejected_table_loses_no_metrics(accepting_host, small, command, tmp_path, monkeypatch, capfd, read):
    accepting_host.rejects_tables = True
    monkeypatch.setenv("WANDB_BASE_URL", accepting_host.address)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    assert command(*small, "tracker.mode=online", f"hydra.run.dir={tmp_path / 'run'}") == 0
    (warning,) = (line for line in capfd.readouterr().out.splitlines() if "warning" in line)
    assert "log failed: " in warning
    lines = read.lines(tmp_path / "run/metrics.jsonl")
    assert [line["_step"] for line in accepting_host.history] == list(range(len(lines)))
    for line, sent in zip(lines, accepting_host.history, strict=True):
        assert sent | line == sent


@pytest.mark.usefixtures("_tracked")
def test_settings_in_an_untrusted_folder_are_ignored(small, tmp_path, monkeypatch):
    """W&B reads `wandb/settings` in the current folder and would send the key to its `base_url`."""
    requests = []

    class Host(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(self.headers.get("authorization"))
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
    assert requests == []
    monkeypatch.setenv("WANDB_BASE_URL", server.address)  # the user's own choice
    train(compose(arguments), tmp_path / "other")
    assert requests
    server.shutdown()
    server.server_close()
