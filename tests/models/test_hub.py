"""Models of the hub: downloaded with progress, read again from the cache, or refused in one line."""

import json
import time
from contextlib import contextmanager, nullcontext

import pytest
from huggingface_hub import constants, snapshot_download

from bisum.models.hub import NotOnHub, fetch
from bisum.models.loading import load, load_reader

TEXT = "The ship sailed on Monday. It carried forty people and a cargo of oranges."


@pytest.fixture(scope="session")
def files(checkpoints):
    """The files of a checkpoint as on the hub, with a card and pickled weights that nobody needs."""
    files = {path.name: path.read_bytes() for path in checkpoints("t5").iterdir()}
    return {**files, "README.md": b"---\nlicense: mit\n---\n", "pytorch_model.bin": b"unsafe"}


@pytest.fixture
def hub(hub, files):
    hub.put("me/model", files)
    hub.put("me/private", files, private=True)
    hub.put("me/gated", files, gated=True)
    return hub


def downloads_of(hub):
    return [path.rpartition("/")[2] for method, path in hub.received if method == "GET" and "/resolve/" in path]


def test_a_model_of_the_hub_is_summarized_with_evaluated_and_used_offline(
    hub, hub_environment, checkpoints, run_bisum, call_bisum, tmp_path
):
    summarize = ["summarize", "me/model", "--", TEXT]
    first = run_bisum(*summarize, cwd=tmp_path, env=hub_environment)
    assert (first.code, first.err) == (0, "")
    assert first.out == call_bisum("summarize", str(checkpoints("t5")), "--", TEXT).out
    assert {"README.md", "pytorch_model.bin"}.isdisjoint(downloads_of(hub))
    assert [path for _, path in hub.received if "storage" in path]
    offline = hub_environment | {"HF_HUB_OFFLINE": "1"}
    with hub.down():
        assert run_bisum(*summarize, cwd=tmp_path, env=offline).out == first.out
        evaluate = ["evaluate", "me/model", "corpus.max_eval_rows=2", "tracker=none"]
        done = run_bisum(*evaluate, cwd=tmp_path, env=hub_environment)
    assert done.code == 0, done.err
    assert "its newest files in the cache are used" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("name", "revision", "fault", "problem"),
    [
        ("me/missing", None, None, "checkpoint: no local directory or hub model is named 'me/missing'; a private one "
                                   "needs a login (hf auth login)"),
        ("me/private", None, None, "checkpoint: no local directory or hub model is named 'me/private'; a private one "
                                   "needs a login (hf auth login)"),
        ("me/gated", None, None, "checkpoint: 'me/gated' is gated; accept its terms on HUB/me/gated and log in "
                                 "(hf auth login)"),
        ("me/model", "v9", None, "revision: 'me/model' has no revision 'v9'"),
        ("me/model", None, {"status": 403}, "checkpoint: the hub refuses access to 'me/model' (403 You don't have the "
                           "required permissions to perform this action); use a token with the permission for it"),
        ("me/model", None, {"status": 429, "wait": 7}, "checkpoint: the hub's rate limit is exceeded for "
                           "'me/model' (429 Too Many Requests); try again in 7 s"),
        ("me/model", None, {"status": 503}, "checkpoint: the hub at HUB failed on a request for 'me/model' (503 "
                           "Service Unavailable); check the network, or give a downloaded model's directory"),
    ],
)  # fmt: skip
def test_a_model_that_the_hub_does_not_give_is_refused(hub, use_hub, options, name, revision, fault, problem):
    with hub.failing(**fault) if fault else nullcontext(), pytest.raises(NotOnHub) as raised:
        load_reader(options(name, revision=revision))
    assert str(raised.value).replace(hub.address, "HUB") == f"model.{problem}"


def test_the_command_line_refuses_without_the_token(hub, use_hub, call_bisum, one_line, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    for command in (["summarize", "me/model", "--", TEXT], ["evaluate", "me/model", "tracker=none"]):
        line = one_line(call_bisum(*command))
        assert line.startswith("bisum: model.checkpoint: the hub rejects the access token for 'me/model' (401 Invalid")
        assert line.endswith("correct or unset HF_TOKEN")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hf_planted" in path.read_bytes()]


def test_a_private_model_is_loaded_after_a_login(hub, use_hub, options, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_me")
    assert load(options("me/private"), 42, "float32").parameters > 1000
    assert hub.places_of("hf_of_me") == []


def test_a_model_that_is_not_cached_needs_the_network(hub, use_hub, options, monkeypatch):
    with hub.down(), pytest.raises(NotOnHub, match=r"cannot reach the hub at .* \(ConnectError: .*; check the network"):
        load_reader(options("me/model"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    missing = "'me/model' is neither a directory nor in the cache; unset HF_HUB_OFFLINE to download it"
    with pytest.raises(NotOnHub, match=f"model.checkpoint: {missing}"):
        load_reader(options("me/model"))


def test_a_model_without_its_weights_in_the_cache_is_not_used_offline(hub, use_hub, options, monkeypatch):
    load_reader(options("me/model"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    load_reader(options("me/model"))
    with pytest.raises(NotOnHub, match="neither a directory nor in the cache"):
        load(options("me/model"), 42, "float32")


def test_pickled_weights_are_fetched_only_in_place_of_others(hub, use_hub, files, monkeypatch):
    hub.put("me/old", {path: content for path, content in files.items() if not path.endswith(".safetensors")})
    for offline in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
        for name, kept in {"me/old": "pytorch_model.bin", "me/model": "model.safetensors"}.items():
            folder = fetch(name, None, "model.checkpoint", weights=True, pickles=True, progress=None)
            assert [path.name for path in folder.iterdir() if "model." in path.name and "spiece" not in path.name] == [
                kept
            ]


@pytest.mark.parametrize("revision", [None, "main"])
def test_the_commit_of_a_model_is_known(hub, use_hub, options, revision):
    loaded = load(options("me/model", revision=revision), 42, "float32")
    assert loaded.origin == {"place": "hub", "commit": hub.repositories["me/model"].head.oid, "sha256": None}
    assert load(options("pkg://bisum.assets.starter"), 42, "float32").origin["place"] == "package"


def test_a_pinned_commit_in_the_cache_needs_no_request(hub, use_hub, options):
    commit = hub.repositories["me/model"].head.oid
    load_reader(options("me/model", revision=commit))
    before = len(hub.received)
    load_reader(options("me/model", revision=commit))
    assert len(hub.received) == before


def test_an_interrupted_download_of_a_pinned_commit_is_completed(hub, use_hub):
    shards = {f"model-{number}-of-2.safetensors": b"a" * 1000 * number for number in (1, 2)}
    index = json.dumps({"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}).encode()
    hub.put("me/large", {**shards, "model.safetensors.index.json": index, "config.json": b"{}"})
    commit = hub.repositories["me/large"].head.oid
    begun = ["config.json", "*.index.json", "model-1-*"]
    snapshot_download("me/large", revision=commit, allow_patterns=begun)

    def fetched():
        return fetch("me/large", commit, "model.checkpoint", weights=True, pickles=False, progress=None)

    assert {*shards} <= {path.name for path in fetched().iterdir()}
    with hub.down():
        assert {*shards} <= {path.name for path in fetched().iterdir()}


@pytest.mark.parametrize("status", [429, 503])
def test_a_cached_model_is_used_while_the_hub_has_problems(hub, use_hub, options, caplog, status):
    load_reader(options("me/model"))
    with hub.failing(status):
        load_reader(options("me/model"))
    (line,) = caplog.messages
    shown = f"model.checkpoint: a request for 'me/model' to the hub failed ({status} "
    assert line.startswith(shown)
    assert line.endswith("; its newest files in the cache are used")


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("cutting", r"lost the connection to the hub at .* during a request for 'me/model' \(RemoteProtocolError: "),
        ("hanging", "the hub at .* did not respond to a request for 'me/model' within 0.2 s; check the network"),
    ],
)
def test_a_download_that_breaks_off_is_reported(hub, use_hub, options, monkeypatch, fault, problem):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    began = time.perf_counter()
    with getattr(hub, fault)(on="download", sent=1000), pytest.raises(NotOnHub, match=f"model.checkpoint: {problem}"):
        load(options("me/model"), 42, "float32")
    assert time.perf_counter() - began < 15  # the client tries six times


def test_every_request_of_a_download_is_limited_in_time(hub, use_hub, options, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    with hub.hanging(on="tree", times=1), hub.hanging(on="resolve", times=1), hub.hanging(on="download", times=1):
        load(options("me/model"), 42, "float32")
    with hub.hanging(on="info"), pytest.raises(NotOnHub, match="did not respond"):
        load_reader(options("me/gated"))


class Bars:
    """The title, total and steps of each bar."""

    def __init__(self):
        self.shown = []

    @contextmanager
    def __call__(self, title, total=None, done=0):
        self.shown.append((title, total))
        self.steps = [done]
        yield self

    def advance(self, done, text=None):
        self.steps.append(done)


def test_progress_counts_the_bytes_of_all_files(hub, use_hub, files):
    shard = "model-{}-of-2.safetensors"
    large = {shard.format(1): b"a" * 25_300_000, shard.format(2): b"b" * 12_000_000, "config.json": b"{}"}
    hub.put("me/large", {**large, "README.md": b"c" * 5_000_000})
    bars = Bars()

    def download():
        fetch("me/large", None, "model.checkpoint", weights=True, pickles=False, progress=bars)
        return bars.steps

    with hub.cutting(11_000_000, on="download", times=1):  # the client resumes it
        steps = download()
    assert bars.shown == [("downloading me/large (MB)", 37)]
    assert steps[0] == 0
    assert len(set(steps)) > 4
    assert steps == sorted(steps)
    assert steps[-1] == 37
    hub.put("me/large", {**large, shard.format(2): b"d" * 12_000_000})
    steps = download()
    assert (steps[0], steps[-1]) == (25, 37)
    assert bars.shown[1] == ("downloading me/large (MB)", 37)
