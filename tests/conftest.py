"""Shared fixtures: an isolated environment, and the command line in a separate process or in this one."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from built_once import built_once

import bisum
from bisum.config.targets import ALLOW_VARIABLE

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from stand_in_hub import StandInHub


def pytest_configure(config: pytest.Config) -> None:
    """Set variables that libraries read at import: one thread, no network, caches in a temporary folder.

    Runs are not tracked unless a test enables it, and W&B credentials are hidden.
    """
    # The handler of absl, which rouge_score needs, keeps the standard error of its import and closes it when logging is
    # reconfigured, unless it is still standard error; so that stream must not be one of pytest's.
    importlib.import_module("absl.logging")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background, child processes would ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tempfile.mkdtemp(prefix="bisum-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ.update(OMP_NUM_THREADS="1", XDG_CACHE_HOME=folder, HF_HUB_OFFLINE="1")
    folders = {name: f"{folder}/{name}" for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "TRACKIO_DIR")}
    os.environ.update(folders, WANDB_MODE="disabled")
    credentials = ("HF_TOKEN", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_PROJECT", "WANDB_ENTITY")
    for name in (ALLOW_VARIABLE, *credentials):
        os.environ.pop(name, None)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a child process would compile bisum anew each time


@pytest.fixture(autouse=True)
def _unchanged_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo the effect of `allow_targets=` on this process after each test."""
    monkeypatch.setenv(ALLOW_VARIABLE, "")
    monkeypatch.delenv(ALLOW_VARIABLE)
    monkeypatch.setattr(sys, "path", list(sys.path))


@dataclass(frozen=True)
class Finished:
    """A finished command line."""

    code: int
    out: str
    err: str
    seconds: float


@pytest.fixture(scope="session")
def run_bisum() -> Callable[..., Finished]:
    """Run `python -m bisum ARGUMENTS` in a separate process: `run_bisum(*arguments, cwd=FOLDER, env={...})`."""
    package_root = str(Path(bisum.__file__).parents[1])

    def run(*arguments: str, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300) -> Finished:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "bisum", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": package_root, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Finished(done.returncode, done.stdout, done.stderr, time.perf_counter() - began)

    return run


@pytest.fixture
def call_bisum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """Run a command line in this process, which is faster, in `tmp_path`: `call_bisum(*arguments)`."""
    from bisum.cli.main import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Finished:
        capfd.readouterr()
        began = time.perf_counter()
        with pytest.raises(SystemExit) as exit_:
            main(list(arguments))
        seconds = time.perf_counter() - began
        assert isinstance(exit_.value.code, int)
        return Finished(exit_.value.code, *capfd.readouterr(), seconds)

    return call


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the directory of a family's small checkpoint, built on first use: `checkpoints("mbart50")`.

    The families are `BUILDERS` of tests/checkpoints. The directories are shared: copy one to change it.
    """
    from checkpoints import build

    def write(family: str, folder: Path) -> None:
        folder.mkdir()
        build(family, folder)

    return lambda family: built_once(tmp_path_factory, family, partial(write, family))


@pytest.fixture
def hub() -> Iterator["StandInHub"]:
    """Return an empty stand-in for the Hugging Face hub, with the user `me` whose token is `hf_of_me`."""
    from stand_in_hub import StandInHub

    with StandInHub(tokens={"hf_of_me": "me", "hf_of_another": "another"}) as running:
        yield running


@pytest.fixture
def hub_environment(hub: "StandInHub", tmp_path: Path) -> dict[str, str]:
    """Return the variables with which a separate process uses the stand-in, and a cache of its own, without a token.

    Add `{"HF_TOKEN": "hf_of_me"}` to log in, or `{"HF_HUB_OFFLINE": "1"}` to be offline.
    """
    off = dict.fromkeys(("HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK"), "1")
    home = str(tmp_path / "huggingface")
    return {"HF_ENDPOINT": hub.address, "HF_HOME": home, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", **off}


@pytest.fixture
def use_hub(hub: "StandInHub", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process use the stand-in, without a token; the client reads these settings when it is imported."""
    from huggingface_hub import constants

    settings = {
        "ENDPOINT": hub.address,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "hub_cache"),
        "HF_TOKEN_PATH": str(tmp_path / "no_token"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
    }
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub_client(hub: "StandInHub", use_hub: None) -> "HfApi":
    """Return a client in this process, logged in as `me`."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=hub.address, token="hf_of_me")


@pytest.fixture(scope="session")
def one_line() -> Callable[[Finished], str]:
    """Return the error of a refused command line: exit code 2, and only that line on both streams."""

    def line(finished: Finished) -> str:
        assert finished.code == 2, finished.err
        assert finished.out == ""
        lines = finished.err.splitlines()
        assert len(lines) == 1, finished.err
        assert lines[0].startswith("bisum: ")
        return lines[0]

    return line


@pytest.fixture(scope="session")
def write() -> Callable[[Path, str], None]:
    """Write a text file, and create its folder."""

    def written(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return written
