"""The environment of a run: package versions and the commit of the code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bisum.version import __version__

_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "tokenizers",
    "ctranslate2",
    "hydra-core",
    "rouge-score-rs",
    "rouge-score",
    "sacrebleu",
    "py3langid",
)


def versions() -> dict[str, str | None]:
    """Return the versions of Python, bisum and the packages that affect results; None for packages not installed."""
    return {"python": sys.version.split()[0], "bisum": __version__, **{name: _version(name) for name in _PACKAGES}}


def commit() -> str | None:
    """Return the commit of the working directory's repository, with "+" if tracked files are modified.

    The repository can be someone else's, so git runs none of the programs in its configuration: no hook, file system
    monitor, filter or remote helper.
    """
    try:
        head = _git("rev-parse", "HEAD")
        filters = _git("config", "--show-scope", "--name-only", "--get-regexp", r"^filter\.", may_fail=True)
        names = {
            line.split("\t")[1].rpartition(".")[0] for line in filters.splitlines() if not line.startswith(_USER_SCOPES)
        }
        unfiltered = [f"{name}.{key}=" for name in sorted(names) for key in ("clean", "process", "smudge")]
        unfiltered += [f"{name}.required=false" for name in sorted(names)]
        dirty = _git("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all", settings=unfiltered)
    except (OSError, subprocess.SubprocessError, IndexError):
        return None
    return head + ("+" if dirty else "")


def _git(*arguments: str, settings: Sequence[str] = (), may_fail: bool = False) -> str:
    """Return git's output; `settings` are additional `key=value` pairs of its configuration."""
    if _GIT is None:
        raise FileNotFoundError("git")
    quiet = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.untrackedCache=false", *settings)
    command = [
        _GIT,
        "--no-pager",
        "--no-optional-locks",
        *(part for pair in quiet for part in ("-c", pair)),
        *arguments,
    ]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    own |= {"GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=not may_fail, env=own)
    return done.stdout.strip()


def _find_git() -> str | None:
    """Return git's path from the absolute folders of PATH; a relative one would depend on the current folder."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder).is_absolute()]
    return shutil.which("git", path=os.pathsep.join(folders))


_GIT = _find_git()
_USER_SCOPES = ("system", "global")
"""The user's own scopes of git's configuration; their filters, such as Git LFS, are allowed to run."""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
