"""The stand-in serves the real client of the Hugging Face hub; its faults become the client's own errors."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

TOKEN = "hf_of_me"
FILES = {
    "config.json": b'{"model_type": "t5"}',
    "model.safetensors": bytes(range(256)) * 4000,
    "notes/years.txt": "año\n".encode(),
    "README.md": b"---\nlicense: apache-2.0\n---\n\nA model.\n",
}
COMMIT = ("POST", "/api/models/me/model/commit/main")

ROUND_TRIP = """
import sys
from huggingface_hub import HfApi, snapshot_download

source, target = sys.argv[1:]
api = HfApi()
for message in ("first", "again"):
    name = api.create_repo("me/model", private=True, exist_ok=True).repo_id
    api.upload_folder(repo_id=name, folder_path=source, commit_message=message)
api.create_tag(name, tag="v1")
snapshot_download(name, revision="v1", local_dir=target)
print(api.whoami()["name"], name, api.model_info(name).private)
"""


@pytest.fixture
def folder(tmp_path):
    for path, content in FILES.items():
        (tmp_path / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / path).write_bytes(content)
    return tmp_path / "source"


def contents(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def status_of(call, *arguments, **options):
    with pytest.raises(HfHubHTTPError) as raised:
        call(*arguments, **options)
    return raised.value.response.status_code


def test_a_folder_is_uploaded_once_and_downloaded_equal(hub, hub_environment, folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP, str(folder), str(tmp_path / "copy")],
        env={"PATH": "", "HF_TOKEN": TOKEN, **hub_environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.returncode) == ("me me/model True\n", 0), done.stderr
    repository = hub.repositories["me/model"]
    assert repository.private
    assert [commit.message for commit in repository.commits] == ["initial commit", "first"]
    assert repository.tags == {"v1": repository.head}
    assert {path: repository.files[path] for path in FILES} == FILES
    copy = contents(tmp_path / "copy")
    assert {path: copy[path] for path in FILES} == FILES
    assert hub.received.count(COMMIT) == 1
    assert [method for method, path in hub.received if path.startswith("/storage/")] == ["PUT", "GET"]
    assert hub.places_of(TOKEN) == []


def test_a_secret_in_a_file_is_found(hub, hub_client):
    hub_client.create_repo("me/model")
    for path in ("log.txt", "model.safetensors"):
        hub_client.upload_file(path_or_fileobj=b"key: planted", path_in_repo=path, repo_id="me/model")
    in_sample = ("POST", "/api/models/me/model/preupload/main")
    upload = next(request for request in hub.received if request[0] == "PUT")
    assert hub.places_of("planted") == [" ".join(place) for place in (in_sample, COMMIT, in_sample, upload)]


def test_commits_delete_and_branch_and_conflict(hub, hub_client):
    repository = hub.put("me/model", {"a.txt": b"a", "old/b.txt": b"b"})
    before = repository.head.oid
    delete = [CommitOperationDelete("a.txt"), CommitOperationDelete("old/")]
    hub_client.create_branch("me/model", branch="draft")
    hub_client.create_commit("me/model", operations=delete, commit_message="less", parent_commit=before)
    assert (repository.files, repository.branches["draft"].files) == ({}, {"a.txt": b"a", "old/b.txt": b"b"})
    late = [CommitOperationAdd("c.txt", b"c")]
    commit = {"operations": late, "commit_message": "late", "parent_commit": before}
    assert status_of(hub_client.create_commit, "me/model", **commit) == 412
    assert status_of(hub_client.create_branch, "me/model", branch="draft") == 409
    assert [entry.title for entry in hub_client.list_repo_commits("me/model")] == ["less", "put", "initial commit"]
    assert [branch.name for branch in hub_client.list_repo_refs("me/model").branches] == ["main", "draft"]


def test_files_are_listed_with_their_sizes(hub, hub_client):
    hub.put("me/model", FILES)
    hub.put("datasets/me/rows", {"data/train.jsonl": b"{}"})
    sizes = {path: len(content) for path, content in FILES.items()}
    info = hub_client.model_info("me/model", files_metadata=True)
    assert {file.rfilename: file.size for file in info.siblings} == sizes
    assert [file.rfilename for file in info.siblings if file.lfs] == ["model.safetensors"]
    tree = hub_client.list_repo_tree("me/model", recursive=True)
    assert {entry.path: getattr(entry, "size", None) for entry in tree} == sizes | {"notes": None}
    assert [entry.path for entry in hub_client.list_repo_tree("me/model", "notes")] == ["notes/years.txt"]
    found = hub_client.get_paths_info("me/model", ["config.json", "missing.json"])
    assert [(file.path, file.size) for file in found] == [("config.json", sizes["config.json"])]
    assert [entry.path for entry in hub_client.list_repo_tree("me/rows", repo_type="dataset")] == ["data"]


def test_access_is_refused_as_on_the_hub(hub, hub_client):
    hub.put("me/private", FILES, private=True)
    hub.put("another/gated", FILES, gated=True)
    assert hub_client.model_info("another/gated").gated == "manual"
    for token in (False, "hf_of_another"):
        with pytest.raises(RepositoryNotFoundError):
            hub_client.model_info("me/private", token=token)
        with pytest.raises(RepositoryNotFoundError):
            hub_client.model_info("me/missing", token=token)
    for token in (False, TOKEN):
        with pytest.raises(GatedRepoError):
            hub_client.auth_check("another/gated", token=token)
    hub_client.auth_check("another/gated", token="hf_of_another")
    with pytest.raises(RevisionNotFoundError):
        hub_client.model_info("me/private", revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        hub_client.hf_hub_download("me/private", "missing.json")
    assert status_of(hub_client.whoami, token="hf_unknown") == 401
    assert status_of(hub_client.create_repo, "another/model") == 403
    assert status_of(hub_client.create_repo, "me/private") == 409


@pytest.mark.parametrize("status", [401, 403, 409, 412, 429, 500, 502, 503])
def test_an_endpoint_fails_with_a_status(hub, hub_client, status):
    hub.put("me/model", FILES)
    addition = {"operations": [CommitOperationAdd("a.txt", b"a")], "commit_message": "a"}
    with hub.failing(status, on="commit"):
        assert status_of(hub_client.create_commit, "me/model", **addition) == status
    with hub.failing(status):
        assert status_of(hub_client.model_info, "me/model") == status


def test_a_fault_begins_and_ends(hub, hub_client):
    hub.put("me/model", FILES)
    with hub.failing(500, on="info", after=1, times=1):
        hub_client.model_info("me/model")
        assert status_of(hub_client.model_info, "me/model") == 500
        hub_client.model_info("me/model")


def test_the_client_retries_an_upload(hub, hub_client, folder):
    hub_client.create_repo("me/model")
    with hub.failing(503, on="upload", times=1), hub.failing(429, on="preupload", times=1):
        hub_client.upload_folder(repo_id="me/model", folder_path=folder)
    assert hub.repositories["me/model"].files["model.safetensors"] == FILES["model.safetensors"]
    assert [method for method, path in hub.received if path.startswith("/storage/")] == ["PUT", "PUT"]


def test_an_answer_never_comes(hub, hub_client):
    hub.put("me/model", FILES)
    with hub.hanging(on="info"), pytest.raises(httpx2.ReadTimeout):
        hub_client.model_info("me/model", timeout=0.1)
    hub_client.model_info("me/model", timeout=5)


def test_the_hub_is_unreachable_for_a_while(hub, hub_client):
    hub.put("me/model", FILES)
    hub_client.model_info("me/model")
    with hub.down(), pytest.raises(httpx2.ConnectError):
        hub_client.model_info("me/model")
    hub_client.model_info("me/model")


def test_the_answer_to_a_commit_is_lost(hub, hub_client):
    hub_client.create_repo("me/model")
    addition = {"operations": [CommitOperationAdd("a.txt", b"a")], "commit_message": "a"}
    with hub.cutting(0, on="commit"), pytest.raises(httpx2.RemoteProtocolError):
        hub_client.create_commit("me/model", **addition)
    assert hub.repositories["me/model"].files["a.txt"] == b"a"


def test_a_download_that_is_cut_is_resumed(hub, hub_client, tmp_path):
    hub.put("me/model", FILES)
    with hub.cutting(300_000, on="download", times=2):
        got = snapshot_download("me/model", endpoint=hub.address, cache_dir=tmp_path, token=TOKEN)
    assert contents(Path(got)) == FILES
    assert [method for method, path in hub.received if path.startswith("/storage/")] == ["GET"] * 3
