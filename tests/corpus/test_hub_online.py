"""A hub on this machine: its data sets load, and load again offline; each refusal is one line."""

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import urllib.parse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BRANCH = "refs/convert/parquet"
LANGUAGES = {"en": "english", "es": "spanish"}

LOAD = """
import sys
from bisum import compose
from bisum.errors import UserError

for repo in sys.argv[1:]:
    repo, _, revision = repo.partition("@")
    names = "corpus.configurations={en: english, es: spanish}"
    arguments = ["corpus=hub", f"corpus.repo={repo}", f"corpus.revision={revision or 'null'}", names, "tracker=none"]
    try:
        rows = compose(arguments).corpus.load(["en", "es"])["test"].to_pylist()
        print(*(row["document"] for row in rows), sep=", ")
    except UserError as error:
        print(error)
"""


def parquet(text: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"document": [f"A {text} document"], "summary": ["a summary"]}), sink)
    return sink.getvalue()


def repository() -> dict[str, bytes]:
    """Return the files of a repository with three configurations, one of them never requested."""
    splits, names = ("train", "validation", "test"), (*LANGUAGES.values(), "french")
    files = {f"{name}/{split}.parquet": parquet(f"{name} {split}") for name in names for split in splits}
    card = ["---", "configs:"]
    for name in names:
        card += [f"- config_name: {name}", "  data_files:"]
        card += [line for split in splits for line in (f"  - split: {split}", f"    path: {name}/{split}.parquet")]
    return files | {"README.md": "\n".join([*card, "---", ""]).encode()}


WITH_CARD = repository()
FOLDERS = {path: content for path, content in WITH_CARD.items() if path != "README.md"}
REPOSITORIES = {"me/open": WITH_CARD, "me/gated": WITH_CARD, "me/folders": FOLDERS}


def entries_of(files: dict[str, bytes]) -> dict[str, dict]:
    """Return the hub's metadata of each file and folder of a repository."""
    entries = {path.split("/")[0]: {"type": "directory", "size": 0, "oid": COMMIT} for path in files}
    for path, content in files.items():
        entries[path] = {"type": "file", "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    return {path: {"path": path, **entry} for path, entry in entries.items()}


def as_json(value) -> bytes:
    return json.dumps(value if isinstance(value, dict) else list(value)).encode()


class Hub(http.server.BaseHTTPRequestHandler):
    """The parts of https://huggingface.co/docs/hub/api that reading a data set requires."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").removeprefix("api/").split("/")
        parts = [urllib.parse.unquote(part) for part in parts]
        name, rest = "/".join(parts[1:3]), parts[3:]
        action, revision, path = (*rest, "", "")[0], (*rest, "", "")[1], "/".join(rest[2:])
        files = REPOSITORIES.get(name, {})
        entries = entries_of(files)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not files:
            self.answer(401, X_Error_Code="RepoNotFound")
        elif name == "me/gated" and action in ("auth-check", "resolve"):
            self.answer(403, X_Error_Code="GatedRepo")
        elif revision not in ("", "main", BRANCH, COMMIT):
            self.answer(404, X_Error_Code="RevisionNotFound")
        elif action in ("", "revision"):
            gated = "manual" if name == "me/gated" else False
            self.answer(200, as_json({"id": name, "sha": COMMIT, "gated": gated}))
        elif action == "tree":
            below = {entry for entry in entries if entry.startswith(path)}
            is_deep = "recursive=true" in self.path.lower()
            wanted = below if is_deep else {entry for entry in below if entry.rpartition("/")[0] == path}
            self.answer(200, as_json(entries[entry] for entry in sorted(wanted)))
        elif action == "paths-info":
            fields = json.loads(body) if body.startswith(b"{") else urllib.parse.parse_qs(body.decode())
            self.answer(200, as_json(entries[path] for path in fields["paths"] if path in entries))
        elif action == "resolve" and path in files:
            content = files[path]
            self.answer(200, content, ETag=f'"{entries[path]["oid"]}"', X_Repo_Commit=COMMIT)
        else:
            self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)

    do_HEAD = do_POST = do_GET  # noqa: N815 - the names of http.server


@pytest.fixture
def load(tmp_path):
    """Load data sets in a separate process, since the libraries look up the hub when they are imported."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{running.server_port}"

        def lines(*repositories: str, offline: bool = False) -> list[str]:
            settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": str(int(offline))}
            done = subprocess.run(
                [sys.executable, "-c", LOAD, *repositories],
                env=os.environ | settings,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert (done.returncode, done.stderr) == (0, "")
            return [line.replace(endpoint, "HUB") for line in done.stdout.splitlines()]

        yield lines
        running.shutdown()


def test_data_sets_of_a_hub_are_loaded_or_refused(load):
    found = "A english test document, A spanish test document"
    unknown = "corpus.repo: no local folder or hub data set is named 'me/nothing'; a private one needs"
    repositories = ["me/open", f"me/folders@{BRANCH}", f"me/open@{COMMIT}", "me/open@v9", "me/nothing", "me/gated"]
    assert load(*repositories) == [
        found,
        found,
        found,
        "corpus.revision: 'me/open' has no revision 'v9'",
        f"{unknown} a login (hf auth login)",
        "corpus.repo: 'me/gated' is gated; accept its terms on HUB/datasets/me/gated and log in (hf auth login)",
    ]
    assert load("me/open", f"me/folders@{BRANCH}", "me/nothing", offline=True) == [
        found,
        found,
        "corpus.repo: 'me/nothing' is neither a folder nor in the cache; unset HF_HUB_OFFLINE to download it",
    ]
