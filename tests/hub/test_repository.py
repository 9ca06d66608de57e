"""A repository on a stand-in for the hub, with the real client: creation, uploads, outages and refusals."""

import pytest

from bisum.errors import UserError
from bisum.hub import repository
from bisum.hub.repository import Repository, Unreachable

MODEL = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "README.md": b"---\nlicense: mit\n---\nA card\n"}


@pytest.fixture(autouse=True)
def _login(hub, hub_client, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", "hf_of_me")
    monkeypatch.setattr(repository, "_WAITS", (0.0, 0.0))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in MODEL.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_missing_repository_is_created_with_the_requested_visibility(hub):
    assert Repository("private", private=True).created().name == "me/private"
    assert Repository("me/public", private=False).created().url == f"{hub.address}/me/public"
    assert hub.repositories["me/private"].private
    assert not hub.repositories["me/public"].private


def test_an_existing_public_repository_is_refused_unless_that_is_wanted(hub):
    hub.put("me/open", {}, private=False)
    with pytest.raises(UserError, match=r"^hub.private: 'me/open' exists and is public; .* hub.private=false$"):
        Repository("me/open", private=True).created()
    assert Repository("me/open", private=False).created().visibility == "public"
    hub.put("me/closed", {}, private=True)
    assert Repository("me/closed", private=False).created().visibility == "private"


def test_an_upload_replaces_the_model_and_keeps_other_files(hub, folder):
    earlier = {"adapter_config.json": b"{}", "pytorch_model.bin": b"old", "picture.png": b"kept", "config.json": b"[]"}
    earlier |= {"vocab.json": b"{}", "chat_template.jinja": b"old"}
    hub.put("me/model", earlier, private=True)
    commit = Repository("me/model", private=True).upload(folder, "Upload epoch-2")
    found = hub.repositories["me/model"]
    assert found.files == {**MODEL, "picture.png": b"kept"}
    assert (found.head.oid, found.head.message) == (commit, "Upload epoch-2")


def test_a_commit_is_tagged_and_an_existing_tag_moves(hub, folder):
    hub.put("me/model", {}, private=True)
    shared = Repository("me/model", private=True)
    first = shared.upload(folder, "first", "epoch-1")
    (folder / "config.json").write_bytes(b'{"changed": true}')
    second = shared.upload(folder, "second", "epoch-1")
    assert first != second
    assert hub.repositories["me/model"].tags["epoch-1"].oid == second


@pytest.mark.parametrize("status", [503, 409, 412, 429])
def test_an_upload_that_can_succeed_later_is_repeated(hub, folder, status):
    hub.put("me/model", {}, private=True)
    with hub.failing(status, on="commit", times=2):
        Repository("me/model", private=True).upload(folder, "upload")
    assert hub.repositories["me/model"].files == MODEL


def test_a_card_that_the_hub_rejects_is_final(hub, folder):
    hub.put("me/model", {}, private=True)
    with hub.failing(400, on="validate"), pytest.raises(UserError, match="refuses the card of 'me/model'"):
        Repository("me/model", private=True).upload(folder, "upload")
    assert [commit.message for commit in hub.repositories["me/model"].commits] == ["initial commit", "put"]


def test_an_upload_whose_answer_is_lost_is_not_committed_twice(hub, folder):
    hub.put("me/model", {}, private=True)
    with hub.cutting(0, on="commit", times=1):
        commit = Repository("me/model", private=True).upload(folder, "upload")
    assert [found.message for found in hub.repositories["me/model"].commits] == ["initial commit", "put", "upload"]
    assert hub.repositories["me/model"].head.oid == commit


def test_a_hub_that_is_down_or_hangs_is_unreachable(hub, folder, monkeypatch):
    monkeypatch.setattr(repository, "_SILENCE", 0.3)
    hub.put("me/model", {}, private=True)
    with hub.hanging(on="commit"), pytest.raises(Unreachable, match="did not respond"):
        Repository("me/model", private=True).upload(folder, "upload")
    with hub.down(), pytest.raises(Unreachable, match="cannot reach the hub at "):
        Repository("me/model", private=True).created()


@pytest.mark.parametrize(
    ("status", "code", "words"), [(401, "", "token"), (403, "", "permission"), (404, "RepoNotFound", "named")]
)
def test_a_refusal_is_final_and_says_what_is_missing(hub, folder, status, code, words):
    hub.put("me/model", {}, private=True)
    with hub.failing(status, on="commit", code=code), pytest.raises(UserError, match=words) as caught:
        Repository("me/model", private=True).upload(folder, "upload")
    assert str(caught.value).startswith("hub.repo_id: ")
    assert "\n" not in str(caught.value)
    assert "hf_of_me" not in str(caught.value)
    assert sum("/commit/" in path for _, path in hub.received) == 1


def test_another_users_repository_is_refused(hub):
    with pytest.raises(UserError, match=r"^hub.repo_id: .*another/model"):
        Repository("another/model", private=True).created()


def test_an_upload_needs_a_login_and_a_network(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere/token")
    with pytest.raises(UserError, match=r"^hub: an upload needs a login; run 'hf auth login', or set HF_TOKEN"):
        Repository("me/model", private=True).created()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"^hub: HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it$"):
        Repository("me/model", private=True).created()
