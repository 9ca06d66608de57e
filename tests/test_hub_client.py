"""Errors of the hub's client, raised by real requests, become one line; and the client does not wait for ever."""

import errno
import time
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi, close_session, constants, get_session
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from bisum.hub_client import answers_within, hub_problem, is_temporary


def problem_of(hub, call, **options):
    """Return the problem of a call of the client; None if it succeeds."""
    try:
        call("me/model", **options)
    except Exception as error:
        line = hub_problem(error, "me/model", "model", "hub.repo_id").replace(hub.address, "HUB")
        assert line.startswith("hub.repo_id: ")
        return line.removeprefix("hub.repo_id: ")
    return None


@pytest.fixture
def upload(hub, use_hub, monkeypatch):
    """Commit a file to `me/model`, and return the problem."""
    hub.put("me/model", {"config.json": b"{}"})
    monkeypatch.setenv("HF_TOKEN", "hf_of_me")

    def problem(**options):
        added = [CommitOperationAdd("a.txt", b"a")]
        return problem_of(hub, HfApi().create_commit, operations=added, commit_message="a", **options)

    return problem


def test_a_sound_upload_has_no_problem(upload):
    assert upload() is None


@pytest.mark.parametrize(
    ("status", "options", "problem"),
    [
        (401, {}, "the hub rejects the access token for 'me/model' (401 Invalid credentials in Authorization header); "
                  "correct or unset HF_TOKEN"),
        (403, {}, "the hub refuses access to 'me/model' (403 You don't have the required permissions to perform this "
                  "action); use a token with the permission for it"),
        (409, {"message": "Busy"}, "'me/model' changed on the hub in the meantime (409 Busy); try again"),
        (413, {"message": "Too large."}, "the hub refuses the request for 'me/model' (413 Too large)"),
        (429, {"wait": 55}, "the hub's rate limit is exceeded for 'me/model' (429 Too Many Requests); "
                            "try again in 55 s"),
        (500, {}, "the hub at HUB failed on a request for 'me/model' (500 Internal Server Error); try again later"),
        (503, {"message": "hf_of_me leaks"}, "the hub at HUB failed on a request for 'me/model' (503 ... leaks); "
                                             "try again later"),
    ],
)  # fmt: skip
def test_a_status_of_the_hub_is_explained(hub, upload, status, options, problem):
    with hub.failing(status, on="commit", **options):
        assert upload() == problem


@pytest.mark.parametrize("name", ["a/b/c", "/nowhere", "a--b", "a b", "a\nb"])
def test_what_cannot_be_a_name_of_the_hub_needs_no_login(hub, use_hub, name):
    with pytest.raises(HFValidationError) as raised:
        HfApi().dataset_info(name)
    line = "a valid hub name (NAME or OWNER/NAME)"
    found, shown = hub_problem(raised.value, name, "data set", "corpus.repo", local="folder"), name.replace("\n", "\\n")
    assert found == f"corpus.repo: '{shown}' is neither a local folder nor {line}"
    assert hub_problem(raised.value, name, "model", "hub.repo_id") == f"hub.repo_id: '{shown}' is not {line}"


def test_a_conflict_is_explained(hub, upload):
    before = hub.repositories["me/model"].head.oid
    hub.put("me/model", {})
    assert upload(parent_commit=before).startswith("'me/model' changed on the hub in the meantime (412 A commit has")


def test_a_missing_login_is_explained(hub, upload, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert upload() == "the hub requires a login for 'me/model'; log in (hf auth login)"
    Path(constants.HF_TOKEN_PATH).write_text("hf_old")
    assert upload().endswith("header); log in again (hf auth login)")


def test_an_odd_token_is_not_shown(upload, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_plañted")
    assert upload() == "the access token contains invalid characters; correct or unset HF_TOKEN"
    monkeypatch.delenv("HF_TOKEN")
    Path(constants.HF_TOKEN_PATH).write_text("hf_pla\0nted")
    assert upload() == "the access token contains invalid characters; log in again (hf auth login)"


def test_a_large_file_that_is_not_taken_is_explained(hub, upload, monkeypatch):
    """The client wraps the hub's error in a RuntimeError of its own."""
    with hub.failing(403, on="upload"), pytest.raises(RuntimeError) as raised:
        HfApi().upload_file(path_or_fileobj=b"weights", path_in_repo="model.safetensors", repo_id="me/model")
    assert "the hub refuses access to 'me/model' (403 " in hub_problem(raised.value, "me/model", "model", "hub.repo_id")


def test_an_unreachable_hub_is_explained(hub, upload, monkeypatch):
    with hub.down():
        refused = "(ConnectError: [Errno 111] Connection refused)"
        found = problem_of(hub, HfApi().create_repo)  # which is not repeated, unlike the first request of an upload
        assert found == f"cannot reach the hub at HUB for 'me/model' {refused}; try again later"
    with hub.cutting(0, on="commit"):
        lost = "lost the connection to the hub at HUB during a request for 'me/model' (RemoteProtocolError: peer"
        assert upload().startswith(lost)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert upload() == "HF_HUB_OFFLINE is set; unset it to reach 'me/model'"


def test_a_hub_that_hangs_is_given_up(hub, upload):
    began = time.perf_counter()
    with hub.hanging(on="commit"), answers_within(0.3):
        assert upload() == "the hub at HUB did not respond to a request for 'me/model' within 0.3 s; try again later"
    assert time.perf_counter() - began < 5
    assert upload() is None  # in the client's own time


def test_the_limit_survives_a_new_session_of_the_client(hub, upload):
    """The client closes its session after an error of a connection."""
    with answers_within(0.3):
        with hub.down():
            assert problem_of(hub, HfApi().create_repo).startswith("cannot reach the hub at HUB")
            close_session()
        with hub.hanging(), pytest.raises(httpx2.ReadTimeout):
            HfApi().model_info("me/model")
    before = get_session()
    with answers_within(30):
        assert get_session() is not before
    assert len(get_session().event_hooks["request"]) == len(before.event_hooks["request"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 412, 413, 423, 425, 429, 500, 503])
def test_only_requests_that_can_succeed_later_are_temporary(hub, upload, status):
    with hub.failing(status, on="info"), pytest.raises(HfHubHTTPError) as raised:
        HfApi().model_info("me/model")
    assert is_temporary(raised.value) == (status in {408, 409, 412, 423, 425, 429, 500, 503})


def test_a_lost_connection_is_temporary_and_an_invalid_card_is_final(hub, upload):
    with hub.down(), pytest.raises(httpx2.ConnectError) as lost:
        HfApi().create_repo("me/model")
    assert is_temporary(lost.value)
    card = CommitOperationAdd("README.md", b"---\nlicense: [1\n---\n")
    with pytest.raises(ValueError, match="Invalid metadata") as raised:
        HfApi().create_commit("me/model", [card], commit_message="a")
    assert not is_temporary(raised.value)
    line = hub_problem(raised.value, "me/model", "model", "hub.repo_id")
    assert line.startswith(
        "hub.repo_id: the hub refuses the card of 'me/model' (ValueError: Invalid metadata in README"
    )
    assert not is_temporary(OSError(errno.ENOSPC, "No space left on device"))


def test_a_shorter_limit_of_a_request_is_kept(hub, upload):
    with hub.hanging(), answers_within(30), pytest.raises(httpx2.ReadTimeout):
        HfApi().model_info("me/model", timeout=0.1)


def test_a_local_problem_is_not_blamed_on_the_hub():
    full = OSError(errno.ENOSPC, "No space left on device")
    line = hub_problem(full, "me/model", "model", "model.checkpoint", local="directory")
    problem = "'me/model' could not be loaded from the hub (OSError: [Errno 28] No space left on device)"
    assert line == f"model.checkpoint: {problem}"
