"""A hub on this machine: its data sets load, and load again offline; each refusal is one line."""

import io
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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


@pytest.fixture
def load(hub, hub_environment, tmp_path):
    """Load data sets in a separate process, since the libraries look up the hub when they are imported."""
    for name, files in {"open": WITH_CARD, "gated": WITH_CARD, "folders": {}}.items():
        hub.put(f"datasets/me/{name}", files, gated=name == "gated")
    hub.repositories["datasets/me/folders"].commit("converted", FOLDERS, BRANCH)

    def lines(*repositories: str, offline: bool = False) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", LOAD, *repositories],
            env=os.environ | hub_environment | {"HF_HUB_OFFLINE": str(int(offline))},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [line.replace(hub.address, "HUB") for line in done.stdout.splitlines()]

    return lines


def test_data_sets_of_a_hub_are_loaded_or_refused(hub, load):
    commit = hub.repositories["datasets/me/open"].head.oid
    found = "A english test document, A spanish test document"
    unknown = "corpus.repo: no local folder or hub data set is named 'me/nothing'; a private one needs"
    repositories = ["me/open", f"me/folders@{BRANCH}", f"me/open@{commit}", "me/open@v9", "me/nothing", "me/gated"]
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
